/** Before each file of the project `unit`: to start a process, thread or server, to connect, and to sleep, throws. */
import { createRequire, syncBuiltinESMExports } from 'node:module'

const FORBIDDEN = {
  child_process: ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'],
  dgram: ['createSocket'],
  'timers/promises': ['setInterval', 'setTimeout'],
  worker_threads: ['Worker'],
}

const require = createRequire(import.meta.url)

function forbid(of: object, name: string, what = name): void {
  // a function that `new` can be used with, too
  const refuse = function refuse(): never {
    throw new Error(`${what}: a unit test starts nothing and waits for nothing; test/support/projects.ts says what may`)
  }
  Object.defineProperty(of, name, { value: refuse, configurable: true, writable: true })
}

for (const [module, names] of Object.entries(FORBIDDEN))
  for (const name of names) forbid(require(`node:${module}`), name)
const net: typeof import('node:net') = require('node:net')
forbid(net.Server.prototype, 'listen')
forbid(net.Socket.prototype, 'connect')
syncBuiltinESMExports()
