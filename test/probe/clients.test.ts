/** What curl and HAProxy take of a site passes here, too: the same answers, given to all three. */
import { execFile, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { httpCheck } from '../support/specs.ts'
import { Haproxy, hasHaproxy } from './haproxy.ts'
import { runCheck } from './loopback.ts'
import { ADDRESS, listen, type Peer } from './peers.ts'

const OK = 'HTTP/1.1 200 OK\r\n'
const ANSWERS: Readonly<Record<string, string>> = {
  plain: `${OK}Content-Length: 2\r\n\r\nok`,
  folded: `${OK}X-Note: one\r\n two\r\nContent-Length: 2\r\n\r\nok`,
  twice: `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`,
  listed: `${OK}Content-Length: 2, 2\r\n\r\nok`,
  lines: 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok',
  both: `${OK}Transfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  extended: `${OK}Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n`,
  wordless: 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok',
  closed: `${OK}\r\nok`,
  old: 'HTTP/1.0 200 OK\r\n\r\nok',
  hinted: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
  two: 'HTTP/2 200\r\nContent-Length: 2\r\n\r\nok',
  // what users do not get through
  differing: `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok`,
  short: `${OK}Content-Length: 20\r\n\r\nok`,
  cut: `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n`,
  strange: 'SSH-2.0-OpenSSH_9.2\r\n',
}
const names = Object.keys(ANSWERS)
const hasCurl = spawnSync('curl', ['--version']).status === 0

const peers: Peer[] = []
let haproxy: Haproxy | undefined
beforeAll(async () => {
  for (const name of names) {
    const server = createServer((socket) => socket.once('data', () => socket.end(ANSWERS[name]!, 'latin1')))
    peers.push(await listen(server))
  }
  const servers = peers.map(({ port }, i) => `server s${i} ${ADDRESS}:${port} check inter 100ms fall 1 rise 1`)
  if (hasHaproxy) {
    const check = ['option httpchk', 'http-check send meth GET uri / ver HTTP/1.1 hdr Host www.example.com']
    haproxy = new Haproxy([...check, 'http-check expect rstring ok', ...servers])
  }
})
afterAll(() => {
  haproxy?.stop()
  for (const peer of peers) peer.close()
})

const passing = async (passes: (port: number) => Promise<boolean>): Promise<readonly string[]> => {
  const all = await Promise.all(peers.map(({ port }) => passes(port)))
  return names.filter((_, i) => all[i])
}

const ours = () =>
  passing(async (port) => {
    const check = httpCheck({ port, host: 'www.example.com', body: 'ok', timeoutMs: 30_000 })
    const { kind } = await runCheck({ id: 't', check, address: ADDRESS, port, probers: 1 })
    return kind === 'pass'
  })

const USERS = names.slice(0, names.indexOf('differing'))

test('what users get through, and nothing else', async () => {
  expect(await ours()).toEqual(USERS)
})

test.skipIf(!hasCurl)('as curl does', async () => {
  const curl = await passing((port) =>
    promisify(execFile)('curl', ['-sf', '-m', '30', '--http1.1', '--noproxy', '*', `http://${ADDRESS}:${port}/`]).then(
      ({ stdout }) => stdout === 'ok',
      () => false,
    ),
  )
  expect(curl).toEqual(USERS)
})

test.skipIf(!hasHaproxy)('all that HAProxy takes', async () => {
  const rows = await haproxy!.rows('HAProxy has judged every site', (read) =>
    peers.every((_, i) => /^L[467]/.test(read.get(`s${i}`)?.check ?? '')),
  )
  const up = names.filter((_, i) => rows.get(`s${i}`)!.status.startsWith('UP'))
  expect(up).toEqual(expect.arrayContaining(['plain', 'folded', 'twice', 'lines', 'both']))
  // its checks do not wait for the end of a body
  const early = ['short', 'cut']
  expect(up.filter((name) => !USERS.includes(name) && !early.includes(name))).toEqual([])
})
