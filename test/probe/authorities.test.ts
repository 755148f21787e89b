/** Whom checks trust: a process of its own each time, for a process reads the machine's store once. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readAuthorities } from '../../src/authorities.ts'
import { startProber } from '../../src/probe/thread.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { httpCheck, timing } from '../support/specs.ts'
import { until } from '../support/until.ts'
import { authority, good, selfSigned } from '../support/certificates.ts'
import { LOOPBACK } from './loopback.ts'
import { ADDRESS, listen, type Peer } from './peers.ts'

let peer: Peer
let folder = ''
const file = (name: string): string => join(folder, name)
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-authorities-'))
  writeFileSync(file('own.pem'), authority)
  writeFileSync(file('other.pem'), selfSigned.cert)
  writeFileSync(file('empty.pem'), '')
  writeFileSync(file('faulty.pem'), authority.replace('MIIBqz', 'MIIBqA'))
  peer = await listen(createServer(good))
})
afterAll(() => {
  peer.close()
  rmSync(folder, { recursive: true })
})

/** What a check sees in a process with these variables and nothing else of this one's that names authorities. */
async function seen(env: Readonly<Record<string, string>>, ...files: readonly string[]): Promise<string> {
  const program = join(import.meta.dirname, 'trusting.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [program, ADDRESS, String(peer.port), ...files], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
  })
  return stdout.trim()
}

const GOOD = 'certificate until 2099-12-31'
const STRANGE = 'certificate of an unknown issuer: Meridian test authority, whose certificate the site does not send'

test("the machine's store counts, and so do NODE_EXTRA_CA_CERTS and files of the setting; nothing else does", async () => {
  const other = { SSL_CERT_FILE: file('other.pem'), SSL_CERT_DIR: folder.concat('/none') }
  const machine = { ...other, SSL_CERT_FILE: file('own.pem') }
  expect(await seen(machine)).toBe(GOOD)
  expect(await seen(other)).toBe(STRANGE)
  expect(await seen({ ...other, NODE_EXTRA_CA_CERTS: file('own.pem') })).toBe(GOOD)
  expect(await seen(other, file('own.pem'))).toBe(GOOD)
})

test("a prober's thread trusts the files of tls.ca; one that is gone by then is told, and the prober works", async () => {
  const store = new MemoryStore()
  const troubles: string[] = []
  const check = httpCheck({ type: 'https', host: 'www.example.com', port: peer.port, ...timing, intervalMs: 300 })
  const target = {
    id: 't',
    check: { ...check, type: 'tls', verify: true } as const,
    address: ADDRESS,
    port: peer.port,
    probers: 1,
  }
  for (const [name, value] of [
    ['own.pem', 'up'],
    ['gone.pem', 'down'],
  ] as const) {
    const prober = startProber({
      name: 'eu',
      region: 'eu',
      store,
      reach: LOOPBACK,
      trusted: [file(name)],
      onTrouble: (trouble) => void troubles.push(trouble),
    })
    prober.setTargets([target])
    let vote: string | undefined
    const timer = setInterval(() => void prober.report().then(({ targets }) => (vote = targets[0]?.vote?.value)), 50)
    await until(`${name}: ${value}`, () => vote === value).finally(() => clearInterval(timer))
    expect(prober.certificates).toMatchObject([{ target, certificate: { endMs: Date.parse('2099-12-31') } }])
    expect((await prober.report()).targets[0]).toMatchObject(prober.certificates[0]!)
    prober.setTargets([])
    expect(prober.certificates).toEqual([])
    await prober.stop()
  }
  await store.close()
  expect(troubles).toEqual([expect.stringMatching(/^tls\.ca: .*gone\.pem can't be read: ENOENT; /)])
})

test('a file that is of no use is told in words', () => {
  expect(readAuthorities(file('own.pem'))).toHaveLength(1)
  expect(() => readAuthorities(file('gone.pem'))).toThrow(/gone\.pem can't be read: ENOENT$/)
  expect(() => readAuthorities(file('empty.pem'))).toThrow(/empty\.pem has no certificate in PEM form/)
  expect(() => readAuthorities(file('faulty.pem'))).toThrow(/certificate 1 of .*faulty\.pem is none/)
})
