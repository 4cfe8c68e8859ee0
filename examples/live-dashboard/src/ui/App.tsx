// Signed out: a form. Signed in: the console on one connection.

import { RoomcastProvider } from '@roomcast/client/react';
import { useMemo, useState } from 'react';
import { foundToken, forgetToken, keepToken } from '../connection/token.ts';
import { Console } from './Console.tsx';
import { SignIn } from './SignIn.tsx';

const WS_PATH = '/ws';

export function App() {
  const [token, setToken] = useState(() => foundToken(location, history, sessionStorage));
  const options = useMemo(() => (token === null ? null : { url: WS_PATH, token, backoff: { attemptsMax: Infinity } }), [token]);
  const signIn = (given: string) => {
    keepToken(given, sessionStorage);
    setToken(given);
  };
  const signOut = () => {
    forgetToken(sessionStorage);
    setToken(null);
  };
  if (options === null) return <SignIn onToken={signIn} />;
  return (
    <RoomcastProvider key={options.token} options={options}>
      <Console onSignOut={signOut} />
    </RoomcastProvider>
  );
}
