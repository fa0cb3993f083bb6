// The program under test, as a process of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const ADDRESS = /http:\/\/[\w.[\]:]+?:(\d+)/;
const START_SECONDS = 20;

/** Starts `dreamserver` with `options` in `folder`; resolves to `{ port, said, stop }` once it says where it listens. */
export async function startServer(options, folder) {
  const program = process.env.DREAMSERVER;
  if (!program) throw new Error('DREAMSERVER names the program to test');
  const child = spawn(program, options, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let log = '';
  child.stdout.setEncoding('utf8').on('data', (piece) => { log += piece; });
  const port = await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`dreamserver ${options.join(' ')} ${why}:\n${said}`));
    const timer = setTimeout(() => fail('did not say where it listens'), START_SECONDS * 1000);
    child.on('error', reject);
    child.on('exit', (code, signal) => fail(`ended (${code ?? signal})`));
    child.stderr.setEncoding('utf8').on('data', (piece) => {
      said += piece;
      const found = ADDRESS.exec(said);
      if (!found) return;
      clearTimeout(timer);
      resolve(Number(found[1]));
    });
  });
  return {
    port,
    log: () => log,
    /** What it says on standard error, once that matches. */
    says(wanted) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`never said ${wanted}:\n${said}`)), START_SECONDS * 1000);
        const look = () => {
          if (!wanted.test(said)) return;
          clearTimeout(timer);
          child.stderr.off('data', look);
          resolve(said);
        };
        child.stderr.on('data', look);
        look();
      });
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill('SIGTERM');
      const [code] = await once(child, 'exit');
      return code;
    },
  };
}
