/** `meridian external-dns` as a process, over HTTP; on a disk that is full; and a node that serves what it has written. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { DEFAULTS, emptyFolder, writeZones } from '../support/folder.ts'
import { MAIN } from '../support/program.ts'
import { until } from '../support/until.ts'

const MEDIA_TYPE = 'application/external.dns.webhook+json;version=1'
const running: ChildProcess[] = []
afterAll(() => running.forEach((child) => child.kill('SIGKILL')))

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((closed) => server.close(closed))
  return typeof address === 'object' && address !== null ? address.port : 0
}

const texts = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => statSync(join(folder, file)).isFile())
      .map((file) => [file, readFileSync(join(folder, file), 'utf8')]),
  )

const record = (i: number) => ({ dnsName: `h${i}.example.com`, targets: [`192.0.2.${i % 250}`], recordType: 'A' })

test('external-dns puts records over HTTP; a disk that is full takes none, and keeps what was there', async () => {
  const folder = writeZones({
    ...DEFAULTS,
    'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\n',
    'sites.yaml': 'fra: {location: [50, 8]}\n',
  })
  const [port, exposed] = [await freePort(), await freePort()]
  const args = ['external-dns', '--cluster', 'fra', '--zones', folder, '--webhook', `127.0.0.1:${port}`]
  const all = [MAIN, ...args, '--expose', `127.0.0.1:${exposed}`]
  // a limit on the size of files makes writes fall short as a full disk does
  const child = spawn('sh', ['-c', 'ulimit -f 32; exec "$@"', 'sh', process.execPath, ...all], {
    cwd: emptyFolder(),
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.push(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (said += data.toString()))
  const url = `http://127.0.0.1:${port}`
  await until(
    () => `it answers: ${said}`,
    async () => (await fetch(`http://127.0.0.1:${exposed}/healthz`).catch(() => undefined))?.ok,
  )
  const post = (create: readonly object[]) =>
    fetch(`${url}/records`, {
      method: 'POST',
      headers: { 'content-type': MEDIA_TYPE },
      body: JSON.stringify({ create }),
    })
  expect((await post([record(1)])).status).toBe(204)
  const before = texts(folder)
  expect(Object.keys(before)).toContain('example.com./external-dns-fra.yaml')
  const refused = await post(Array.from({ length: 2000 }, (_, i) => record(i + 2)))
  expect([refused.status, await refused.text()]).toEqual([500, expect.stringMatching(/EFBIG|file too large/i)])
  expect(texts(folder)).toEqual(before)
  expect(await (await fetch(`${url}/records`, { headers: { accept: MEDIA_TYPE } })).json()).toEqual([record(1)])
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  expect((await ended)[0]).toBe(0)
})
