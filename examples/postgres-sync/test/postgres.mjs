// A PostgreSQL of the test's own: in a temporary folder, on a Unix socket and nothing else.

import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';

/** Debian keeps the server's programs out of the path, by version. */
const DEBIAN = '/usr/lib/postgresql';
/** Anything else than a number of a folder is no version. */
const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).filter((name) => /^\d+$/.test(name)) : [];
const newest = versions.sort((one, other) => other - one)[0];
const BIN = process.env.POSTGRES_BIN ?? (newest ? join(DEBIAN, newest, 'bin') : '');

/** The server refuses to be root. */
const isRoot = process.getuid() === 0;

function run(program, ...args) {
  const command = [join(BIN, program), ...args];
  const [name, ...rest] = isRoot ? ['runuser', '-u', 'postgres', '--', ...command] : command;
  return execFileSync(name, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
}

export class Postgres {
  static async start() {
    const postgres = new Postgres();
    // Sockets have short names only.
    postgres.folder = mkdtempSync('/tmp/roomcast-pg-');
    if (isRoot) {
      const [uid, gid] = ['-u', '-g'].map((which) => Number(execFileSync('id', [which, 'postgres'])));
      chownSync(postgres.folder, uid, gid);
    }
    postgres.data = join(postgres.folder, 'data');
    run('initdb', '-D', postgres.data, '-U', 'postgres', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C.UTF-8');
    postgres.url = `postgres://postgres@/postgres?host=${postgres.folder}`;
    await postgres.up();
    return postgres;
  }

  async up() {
    const options = `-k ${this.folder} -c listen_addresses= -c fsync=off`;
    run('pg_ctl', '-D', this.data, '-w', '-l', join(this.folder, 'log'), '-o', options, 'start');
    this.client = new pg.Client({ connectionString: this.url });
    // A server that is stopped on purpose is no trouble.
    this.client.on('error', () => {});
    await this.client.connect();
  }

  /** Ends it as a crash would. */
  async crash() {
    run('pg_ctl', '-D', this.data, '-w', '-m', 'immediate', 'stop');
    await this.client.end().catch(() => {});
  }

  query(text, values) {
    return this.client.query(text, values);
  }

  async close() {
    await this.crash();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
