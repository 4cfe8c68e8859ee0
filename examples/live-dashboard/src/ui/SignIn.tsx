import type { SubmitEvent } from 'react';

export function SignIn({ onToken }: { onToken: (token: string) => void }) {
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get('token');
    if (typeof token === 'string' && token.trim() !== '') onToken(token.trim());
  };
  return (
    <main className="sign-in">
      <form className="panel" onSubmit={submit}>
        <h1><img src="./favicon.svg" alt="" width="28" height="28" /> Intraday</h1>
        <label htmlFor="token">Token</label>
        <input id="token" name="token" type="password" autoComplete="off" spellCheck={false} required autoFocus />
        <p className="hint">
          A gateway in development mode prints one. It stays in this tab and is forgotten when you close it or sign out.
        </p>
        <button className="primary" type="submit">Connect</button>
      </form>
    </main>
  );
}
