/** Sites that keep the prober busy: within its timeout a check reads no end of small pieces, and no other check runs. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Observation } from '../../src/probe/checks/observation.ts'
import type { CheckKind } from '../../src/zone/model.ts'
import { runCheck } from '../probe/loopback.ts'
import type { Attack, Scale } from './attack.ts'

const ADDRESS = '127.77.9.1'
const TIMEOUT_MS = 2000
/** Of the prober's thread, of one check: many times what it takes on a quiet machine, and far below what an endless one did. */
const CPU_MS = 150

const http = { method: 'GET', path: '/', statuses: [200], verify: false } as const
const KINDS: Readonly<Record<string, CheckKind>> = {
  http: { type: 'http', ...http },
  https: { type: 'https', ...http },
  tls: { type: 'tls', verify: false, validFor: { failMs: 0 } },
  grpc: { type: 'grpc', tls: false, verify: true, service: '' },
  agent: { type: 'agent', send: 'web' },
  dns: { type: 'dns', name: 'www.example.com.', rrtype: 'A', rcodes: ['NOERROR'] },
  exec: { type: 'exec', command: 'yes' },
}

async function run(scale: Scale, print: (line: string) => void): Promise<void> {
  const peers = spawn(process.execPath, [join(import.meta.dirname, 'drips.peers.ts'), ADDRESS], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const [line] = await once(peers.stdout, 'data')
    const ports: Readonly<Record<string, number>> = JSON.parse(String(line))
    const lost: string[] = []
    for (const [name, port] of [...Object.entries(ports), ['exec: yes', 0] as const]) {
      const times = scale === 'full' ? 5 : 1
      for (let n = 0; n < times; n++) {
        const kind = KINDS[name.split(':')[0]!]!
        const [seen, firstMs] = await check(kind, port)
        let cpuMs = firstMs
        // the thread collects garbage of others, too: what is slow is slow again
        for (let again = 0; again < 2 && cpuMs > CPU_MS; again++) cpuMs = Math.min(cpuMs, (await check(kind, port))[1])
        print(
          `${name}: ${cpuMs.toFixed(0)} ms of the thread in ${seen.rttMs.toFixed(0)} ms, ${seen.kind} ${seen.reason}`,
        )
        if (seen.kind === 'pass' && !name.endsWith('in bytes')) lost.push(`${name} passes`)
        // time tells nothing: a peer that gets no core is slow. A handshake is bounded by its bytes alone
        if (cpuMs > CPU_MS && !name.startsWith('tls')) lost.push(`${name} takes ${cpuMs.toFixed(0)} ms`)
      }
    }
    if (lost.length > 0) throw new Error(lost.join('; '))
  } finally {
    peers.stdin.end()
  }
}

async function check(kind: CheckKind, port: number): Promise<[Observation, number]> {
  const timing = { intervalMs: 5000, timeoutMs: TIMEOUT_MS, fastMs: 1000, fall: 3, rise: 2 }
  const target = { id: 't', address: ADDRESS, port, probers: 1, check: { port, ...timing, ...kind } }
  const before = process.threadCpuUsage()
  const seen = await runCheck(target, { yes: ['/usr/bin/yes'] })
  const { user, system } = process.threadCpuUsage(before)
  return [seen, (user + system) / 1000]
}

export const attack: Attack = { tries: 'sites that answer checks in pieces without end', run }
