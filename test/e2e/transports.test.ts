/** One node over all transports: clients of several makers, TLS and HTTPS, dnsdist and HAProxy in front, another certificate. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { authority, expired, good } from '../support/certificates.ts'
import { DNS_PORT, meridian, type NodeProcess, Scene, SITES_YAML } from '../support/scene.ts'
import { until } from '../support/until.ts'

const TLS_PORT = 5353
const HTTPS_PORT = 5443
const FRONT_PORT = 5301
const scene = new Scene()
const [node, dnsdist, haproxy, client] = [scene.address(0), scene.address(4), scene.address(5), scene.address(6)]
const file = (name: string): string => join(scene.folder, name)
const programs: ChildProcess[] = []
let running: NodeProcess

function write(name: string, text: string): string {
  writeFileSync(`${file(name)}.new`, text)
  renameSync(`${file(name)}.new`, file(name))
  return file(name)
}

async function kdig(from: string, at: string, port: number, ...words: readonly string[]): Promise<string> {
  const args = ['-b', from, `@${at}`, '-p', String(port), 'www.demo.example', 'A', '+timeout=5', '+retry=0', ...words]
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
  running = await scene.startReady({
    'tls-listen': `${node}:${TLS_PORT}`,
    'https-listen': `${node}:${HTTPS_PORT}`,
    'tls-certificate': write('cert.pem', good.cert),
    'tls-key': write('key.pem', good.key),
    'proxy-from': `${dnsdist},${haproxy}`,
    'node-nsid': 'n1-nsid',
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
  expect(await running.metrics()).toContain('meridian_tls_certificate_refused 1\n')
  write('cert.pem', expired.cert)
  await until('the other one', async () => (await serial()) === 'serial=1001')
  const metrics = await running.metrics()
  expect(metrics).toContain('meridian_tls_certificate_refused 0\n')
  expect(metrics).toContain(`meridian_tls_certificate_end_time_seconds ${Date.UTC(2021, 0, 1) / 1000}\n`)
  expect(metrics).toMatch(/meridian_queries_total\{transport="dot",type="A",rcode="NOERROR"\} \d/)
  expect(metrics).toMatch(/meridian_queries_total\{transport="doh",type="A",rcode="NOERROR"\} \d/)
})
