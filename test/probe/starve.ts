/**
 * Runs a check of every kind where no file descriptor is left: `node starve.ts`, under a low limit of them. Prints the
 * observations as JSON. Each kind runs once before, so that all code is loaded.
 */
import { openSync } from 'node:fs'
import { runCheck } from './loopback.ts'
import type { CheckKind } from '../../src/zone/model.ts'

const http = { method: 'GET', path: '/', statuses: [200], verify: true } as const
const kinds: readonly CheckKind[] = [
  { type: 'http', ...http },
  { type: 'https', ...http },
  { type: 'tcp' },
  { type: 'tls', verify: true, validForMs: 0 },
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
try {
  for (;;) openSync('/dev/null', 'r')
} catch {
  const seen: string[] = []
  for (const kind of kinds) {
    const observation = await run(kind)
    seen.push(`${kind.type} ${observation.kind}: ${observation.reason}`)
  }
  console.log(JSON.stringify(seen))
}
