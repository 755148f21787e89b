/**
 * Runs a check of every kind where this host is out of something: `node starve.ts files`, under a low limit of descriptors,
 * `node starve.ts ports`, in a network namespace with a range of one port, or `node starve.ts processes`. Prints the
 * observations as JSON. Each kind runs once before, so that all code is loaded.
 */
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { openSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { runCheck } from './loopback.ts'
import type { CheckKind } from '../../src/zone/model.ts'

const http = { method: 'GET', path: '/', statuses: [200], verify: true } as const
const kinds: readonly CheckKind[] = [
  { type: 'http', ...http },
  { type: 'https', ...http },
  { type: 'tcp' },
  { type: 'tls', verify: true, validFor: { failMs: 0 } },
  { type: 'grpc', tls: false, verify: true, service: '' },
  { type: 'grpc', tls: true, verify: true, service: '' },
  { type: 'dns', name: 'a.example.', rrtype: 'A', rcodes: ['NOERROR'] },
  { type: 'icmp' },
  { type: 'exec', command: 'mine' },
  { type: 'agent' },
]
const run = (kind: CheckKind) => {
  const timing = { intervalMs: 5000, timeoutMs: 1000, fastMs: 1000, fall: 3, rise: 2 }
  const target = { id: 't', address: '127.77.1.5', port: 9, probers: 1, check: { port: 9, ...timing, ...kind } }
  return runCheck(target, { mine: ['/bin/true'] })
}
for (const kind of kinds) await run(kind)
if (process.argv[2] === 'ports') await takePorts()
else if (process.argv[2] === 'processes') takeProcesses()
else takeFiles()
const seen: string[] = []
for (const kind of kinds) {
  const observation = await run(kind)
  seen.push(`${kind.type} ${observation.kind}: ${observation.reason}`)
}
console.log(JSON.stringify(seen))
process.exit(0)

function takeFiles(): void {
  try {
    for (;;) openSync('/dev/null', 'r')
  } catch {
    // none is left
  }
}

/** Root is bound by no limit of processes. */
function takeProcesses(): void {
  if (process.getuid?.() === 0) process.setuid?.(54_321)
  execFileSync('prlimit', ['--pid', String(process.pid), '--nproc=1'])
}

/** The only port of the range, for TCP to the target's address and port, and for UDP. */
async function takePorts(): Promise<void> {
  const server = createServer().listen(9, '127.77.1.5')
  await new Promise((done) => server.once('listening', done))
  await new Promise((done) => connect(9, '127.77.1.5').once('connect', done))
  const socket = createSocket('udp4')
  await new Promise<void>((done) => socket.bind(0, done))
}
