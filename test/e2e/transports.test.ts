/**
 * One node over all transports: clients of several makers, TLS and HTTPS, dnsdist and HAProxy in front, another
 * certificate; and what its query log has of all of it, as JSON lines and as dnstap.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeQuery } from '../../src/dns/message.ts'
import { answersOf, query as queryFor, TcpClient, tlsTo } from '../server/client.ts'
import { doh, request } from '../support/ask.ts'
import { authority, expired, good } from '../support/certificates.ts'
import { DNS_PORT, meridian, type NodeProcess, Scene, SITES_YAML } from '../support/scene.ts'
import { until } from '../support/until.ts'

const DNS_TYPE = 'application/dns-message'
const TLS_PORT = 5353
const HTTPS_PORT = 5443
const FRONT_PORT = 5301
const scene = new Scene()
const [node, dnsdist, haproxy, client] = [scene.address(0), scene.address(4), scene.address(5), scene.address(6)]
const file = (name: string): string => join(scene.folder, name)
const SETTINGS = {
  'tls-listen': `${node}:${TLS_PORT}`,
  'https-listen': `${node}:${HTTPS_PORT}`,
  'tls-certificate': file('cert.pem'),
  'tls-key': file('key.pem'),
  'proxy-from': `${dnsdist},${haproxy}`,
  'node-nsid': 'n1-nsid',
}
const programs: ChildProcess[] = []
let running: NodeProcess
let collector: ChildProcess

function write(name: string, text: string): string {
  writeFileSync(`${file(name)}.new`, text)
  renameSync(`${file(name)}.new`, file(name))
  return file(name)
}

async function kdig(from: string, at: string, port: number, ...words: readonly string[]): Promise<string> {
  const args = ['-b', from, `@${at}`, '-p', String(port), 'www.demo.example', 'A', '+timeout=60', '+retry=0', ...words]
  return (await promisify(execFile)('kdig', args)).stdout
}
const vip = async (...asked: Parameters<typeof kdig>): Promise<string> => (await kdig(...asked, '+short')).trim()

/** The number of the certificate that is shown. */
const serial = async (): Promise<string> => {
  const words = ['s_client', '-connect', `${node}:${TLS_PORT}`, '-servername', 'www.example.com']
  const { stdout } = await promisify(execFile)('sh', [
    '-c',
    `openssl "$@" </dev/null | openssl x509 -noout -serial`,
    'sh',
    ...words,
  ])
  return stdout.trim()
}

beforeAll(async () => {
  scene.write('sites.yaml', SITES_YAML)
  const rules = `  rules: [{subnets: [${client}], order: [sin]}]\n`
  const sites = '  sites: {fra: {vips: [192.0.2.1]}, iad: {vips: [192.0.2.2]}, sin: {vips: [192.0.2.3]}}\n'
  scene.write('services.yaml', `web:\n${sites}  order: [fra, iad, sin]\n  check: none\n${rules}`)
  write('ca.pem', authority)
  collector = spawn('fstrm_capture', ['-t', 'protobuf:dnstap.Dnstap', '-u', file('dnstap'), '-w', file('frames')])
  programs.push(collector)
  await until('the collector', () => existsSync(file('dnstap')))
  write('cert.pem', good.cert)
  write('key.pem', good.key)
  running = await scene.startReady({
    ...SETTINGS,
    'queryLog-file': file('queries.log'),
    'queryLog-dnstap': file('dnstap'),
  })
  const lua = [
    `setLocal("${dnsdist}:${FRONT_PORT}")`,
    `newServer({address="${node}:${DNS_PORT}", source="${dnsdist}", useProxyProtocol=true, checkName="static.demo.example.", checkType="A"})`,
  ]
  const frontend = [
    `global\n  log stderr local0 err\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s`,
    `listen tls\n  bind ${haproxy}:${TLS_PORT}\n  server node ${node}:${TLS_PORT} source ${haproxy} send-proxy-v2`,
    `listen tcp\n  bind ${haproxy}:${FRONT_PORT}\n  server node ${node}:${DNS_PORT} source ${haproxy} send-proxy-v2 check check-send-proxy`,
  ]
  const commands = [
    ['dnsdist', '--supervised', '--disable-syslog', '-C', write('dnsdist.conf', `${lua.join('\n')}\n`)],
    ['haproxy', '-db', '-q', '-f', write('haproxy.cfg', `${frontend.join('\n')}\n`)],
  ] as const
  for (const [program, ...args] of commands) programs.push(spawn(program, args, { stdio: 'ignore' }))
})
afterAll(async () => {
  for (const program of programs) program.kill('SIGKILL')
  await scene.close()
})

test.each([
  ['TLS', TLS_PORT, '+tls-ca'],
  ['HTTPS, POST', HTTPS_PORT, '+https'],
  ['HTTPS, GET', HTTPS_PORT, '+https-get'],
])('kdig over %s checks the certificate and gets its answer', async (_transport, port, how) => {
  const checked = [how === '+tls-ca' ? '+tls' : how, `+tls-ca=${file('ca.pem')}`, '+tls-hostname=www.example.com']
  expect(await vip(client, node, port, ...checked)).toBe('192.0.2.3')
  expect(await vip(scene.address(7), node, port, ...checked)).toBe('192.0.2.1')
  const wrong = [...checked.slice(0, 2), '+tls-hostname=other.example.com']
  expect(await kdig(client, node, port, ...wrong).catch((error: unknown) => String(error))).not.toContain('192.0.2.3')
})

test.each([
  ['dig', '+cookie', /flags: qr aa rd;[^]* COOKIE: [0-9a-f]{48} \(good\)/],
  ['dig', '+nsid +tcp', / NSID: .*\("n1-nsid"\)[^]*\(TCP\)/],
  ['kdig', '+cookie +nsid', / COOKIE: [0-9A-F]{48}\n;; NSID: \w+ "n1-nsid"[^]*\(UDP\)/],
  ['delv', '-i', /^; authoritative\n/],
  ['drill', '-D', / flags: qr aa rd ;[^]* EDNS: version 0; flags: do ;/],
  ['drill', '-t', / flags: qr aa rd ;/],
])('%s %s reads the whole response', async (program, words, what) => {
  const args = [...words.split(' '), `@${node}`, '-p', String(DNS_PORT), 'www.demo.example', 'A']
  const { stdout } = await promisify(execFile)(program, args)
  expect(stdout).toMatch(/\nwww\.demo\.example\.\s+60\s+IN\s+A\s+192\.0\.2\.1\n/)
  expect(stdout).toMatch(what)
  expect(stdout).not.toMatch(/malformed|mismatch|extra bytes/i)
})

test.each([
  ['TLS', TLS_PORT, '+tls'],
  ['HTTPS', HTTPS_PORT, '+https'],
])('kdig over %s gets a cookie, the identifier and padding', async (_transport, port, how) => {
  const said = await kdig(client, node, port, how, '+cookie', '+nsid', '+padding=128')
  expect(said).toMatch(/ COOKIE: [0-9A-F]{48}\n;; NSID: \w+ "n1-nsid"\n;; PADDING: \d+ B[^]*Received 468 B/)
  expect(await kdig(client, node, port, how, '+nopadding')).not.toContain('PADDING')
})

test('behind dnsdist, over UDP and TCP, and behind HAProxy, the client is who asked them', async () => {
  const fronts = [
    [dnsdist, FRONT_PORT, '+notcp'],
    [dnsdist, FRONT_PORT, '+tcp'],
    [haproxy, FRONT_PORT, '+tcp'],
    [haproxy, TLS_PORT, '+tls'],
  ] as const
  for (const [at, port, how] of fronts) {
    const ask = (from: string): Promise<string> => vip(from, at, port, how).catch(() => '')
    await until(`${at} ${how}`, async () => (await ask(client)) === '192.0.2.3')
    expect(await ask(scene.address(7)), `${at} ${how}`).toBe('192.0.2.1')
  }
})

test('another certificate is shown at once; one that is of no use is told of, and changes nothing', async () => {
  expect(await serial()).toBe('serial=1000')
  write('key.pem', expired.key)
  await until('the warning', () => running.lines.some(({ msg }) => msg.includes('the new certificate is not used')))
  expect(await serial()).toBe('serial=1000')
  const status = await meridian(['status', '--state', scene.state])
  expect(status.out.replaceAll(/\s+/g, ' ')).toContain('the new certificate is not used, the one before stays')
  expect(await running.metrics()).toContain('meridian_tls_certificate_refused{setting="tls.certificate"} 1\n')
  write('cert.pem', expired.cert)
  await until('the other one', async () => (await serial()) === 'serial=1001')
  const metrics = await running.metrics()
  expect(metrics).toContain('meridian_tls_certificate_refused{setting="tls.certificate"} 0\n')
  expect(metrics).toContain(
    `meridian_tls_certificate_end_time_seconds{setting="tls.certificate"} ${Date.UTC(2021, 0, 1) / 1000}\n`,
  )
  expect(metrics).toMatch(/meridian_queries_total\{transport="dot",type="A",rcode="NOERROR"\} \d/)
  expect(metrics).toMatch(/meridian_queries_total\{transport="doh",type="A",rcode="NOERROR"\} \d/)
})

/** A line of the query log. */
type Line = Readonly<Record<string, unknown>>

const logged = (): Line[] =>
  readFileSync(file('queries.log'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line): Line => JSON.parse(line))

/** Asks for www over UDP from a port, which is returned. */
async function askFrom(port: number, at: string, to: number, ecs?: string): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(port, client, resolve))
  const query = encodeQuery({ name: 'www.demo.example.', type: 'A', ...(ecs !== undefined && { edns: { ecs } }) })
  socket.send(query, to, at)
  await once(socket, 'message')
  const { port: own } = socket.address()
  socket.close()
  return own
}

test('the query log has who asked and what was answered over each transport, also behind proxies, for dnstap as well', async () => {
  const answered = {
    client,
    name: 'www.demo.example.',
    type: 'A',
    rcode: 'NOERROR',
    tc: false,
    service: 'web',
    site: 'sin',
  }
  const find = (transport: string, port?: number): Line | undefined =>
    logged().find(
      (line) =>
        line['transport'] === transport &&
        line['client'] === client &&
        (port === undefined ? line['site'] === 'sin' : line['port'] === port),
    )
  for (const transport of ['udp', 'tcp', 'dot', 'doh']) {
    await until(transport, () => find(transport) !== undefined)
    const line = find(transport)!
    expect(line).toMatchObject({ ...answered, transport })
    expect(Math.abs(Date.parse(String(line['time'])) - Date.now())).toBeLessThan(60_000)
  }
  // the ports are the clients' own, and the subnet has the scope that was answered
  const [direct, behind] = [await askFrom(0, node, DNS_PORT, `${client}/32`), await askFrom(0, dnsdist, FRONT_PORT)]
  await until('both', () => find('udp', direct) !== undefined && find('udp', behind) !== undefined)
  expect(find('udp', direct)).toMatchObject({ ...answered, ecs: `${client}/32`, scope: 32, bytes: 73 })
  expect(find('udp', behind)).toMatchObject({ ...answered, bytes: 50 })
  expect(find('udp', behind)).not.toHaveProperty('ecs')
  const others = logged().filter((line) => line['client'] === dnsdist || line['client'] === haproxy)
  expect(others.filter((line) => line['name'] !== 'static.demo.example.')).toEqual([]) // dnsdist's own checks

  const metrics = await running.metrics()
  for (const to of ['file', 'dnstap']) {
    expect(metrics).toContain(`meridian_query_log_records_total{to="${to}",what="dropped"} 0\n`)
    expect(metrics).toContain(`meridian_query_log_up{to="${to}"} 1\n`)
  }
  running.kill('SIGTERM')
  expect(await running.ended).toBe(0)
  expect(running.lines.filter(({ msg }) => msg.startsWith('queryLog'))).toEqual([])
  collector.kill('SIGTERM')
  await once(collector, 'exit')
  const told = (await promisify(execFile)('dnstap-read', [file('frames')])).stdout.trimEnd().split('\n')
  expect(told.filter((line) => line.includes(' AQ '))).toHaveLength(logged().length)
  expect(told.filter((line) => line.includes(' AR '))).toHaveLength(logged().length)
  const ofPort = (port: number): string[] =>
    told.filter((line) => line.includes(`${client}:${port} `)).map((line) => line.slice(25))
  expect(ofPort(behind)).toEqual([
    `AQ ${client}:${behind} -> ? UDP 34b www.demo.example/IN/A`,
    `AR ${client}:${behind} <- ? UDP 50b www.demo.example/IN/A`,
  ])
  const whole = (await promisify(execFile)('dnstap-read', ['-y', file('frames')])).stdout
  expect(whole).toContain('identity: n1\n')
  expect(whole).toMatch(/- 'www\.demo\.example\. \d+ IN A 192\.0\.2\.3'/)
})

test('a successor takes over: no newcomer is turned away, who is connected is answered and then left in order', async () => {
  running.kill('SIGKILL')
  await running.ended
  write('cert.pem', good.cert)
  write('key.pem', good.key)
  const first = await scene.startReady(SETTINGS)
  const asked = queryFor(1, 'www.demo.example')
  const failures: string[] = []
  const dot = new TcpClient(tlsTo({ address: node, port: TLS_PORT }))
  const session = connectHttp2(`https://${node}:${HTTPS_PORT}`, { rejectUnauthorized: false })
  for (const each of [dot.socket, session]) each.on('error', (error: Error) => failures.push(String(error)))
  const left = [once(dot.socket, 'end'), once(session, 'goaway')]
  const askConnected = async (): Promise<void> => {
    const before = dot.answers.length
    dot.send(asked)
    const reply = request(session, { ':method': 'POST', 'content-type': DNS_TYPE }, asked)
    expect(answersOf((await reply).body)).toBe(1)
    await until('an answer', () => dot.answers.length > before)
  }
  const arrivals = [
    async (): Promise<number> => {
      const one = new TcpClient(tlsTo({ address: node, port: TLS_PORT }))
      one.send(asked)
      await until('an answer', () => one.answers.length > 0 || one.closed)
      one.socket.destroy()
      return one.answers.length
    },
    async (): Promise<number> => answersOf((await doh(node, HTTPS_PORT).send(asked)) ?? asked),
  ]
  let isOver = false
  /** One newcomer after the other; returns how many were answered. */
  const arrive = async (ask: () => Promise<number>): Promise<number> => {
    for (let count = 0; ; count++) {
      if (isOver && count > 5) return count
      const answers = await ask().catch(String)
      if (answers !== 1) failures.push(`newcomer ${count}: ${answers}`)
      await sleep(50)
    }
  }

  const starting = scene.startReady(SETTINGS, '--takeover')
  const isReady = (): Promise<boolean> => Promise.race([starting.then(() => true), sleep(200, false)])
  while (!(await isReady())) await askConnected() // they are never idle for long
  const newcomers = arrivals.map(arrive)
  const answered = askConnected()
  first.kill('SIGTERM')
  await answered
  await Promise.all(left)
  expect(await first.ended).toBe(0)
  isOver = true
  await Promise.all(newcomers)
  expect(failures).toEqual([])
  expect(await (await starting).metrics()).toMatch(
    /meridian_tls_handshakes_total\{transport="doh",result="full"\} [1-9]/,
  )
})
