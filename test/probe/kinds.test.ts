/**
 * The whole way of each kind: written in YAML, made a target, checked against a real peer. The VIP is an address that
 * nothing here has; what is probed is `check.address`, and what names a host by default names the VIP.
 */
import { createSocket } from 'node:dgram'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createSecureServer, createServer as createHttp2, type Http2Server } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTls } from 'node:tls'
import { Packet } from 'dns2'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeHealthSpec } from '../../src/health/target.ts'
import { loadFolder } from '../../src/load/load.ts'
import { formatProblem } from '../../src/problem.ts'
import { good } from '../support/certificates.ts'
import { runCheck } from './loopback.ts'
import { ADDRESS, listen, type Peer, portOf, tcpPeer } from './peers.ts'

let folder = ''
const peers: Peer[] = []
const dnsServer = createSocket('udp4')
let line = ''
const asked: string[] = []

async function start(server: Parameters<typeof listen>[0]): Promise<number> {
  const peer = await listen(server)
  peers.push(peer)
  return peer.port
}

const serving = (server: Http2Server) =>
  server.on('stream', (stream, headers) => {
    asked.push(`grpc ${headers[':authority']}`)
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(Buffer.of(0, 0, 0, 0, 2, 8, 1))
  })

const ports: Record<string, number> = {}
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-kinds-'))
  mkdirSync(join(folder, 'zones'))
  writeFileSync(join(folder, 'check'), '#!/bin/sh\n[ "$MERIDIAN_ADDRESS" = 127.77.1.1 ] && [ "$MERIDIAN_PORT" = 99 ]\n')
  chmodSync(join(folder, 'check'), 0o755)
  const http = createHttp((request, response) => {
    asked.push(`http ${request.headers.host}`)
    response.end()
  })
  const agent = await tcpPeer((socket) => void socket.end(line))
  peers.push(agent)
  dnsServer.on('message', (query, { port, address }) =>
    dnsServer.send(Packet.createResponseFromRequest(Packet.parse(query)).toBuffer(), port, address),
  )
  await new Promise<void>((resolve) => dnsServer.bind(0, ADDRESS, resolve))
  Object.assign(ports, {
    http: await start(http),
    tls: await start(createTls({ ...good, SNICallback: (name, done) => (asked.push(`tls ${name}`), done(null)) })),
    grpc: await start(serving(createHttp2())),
    secure: await start(serving(createSecureServer(good))),
    agent: agent.port,
    dns: portOf(dnsServer),
  })
})
afterAll(() => {
  for (const peer of peers) peer.close()
  dnsServer.close()
  rmSync(folder, { recursive: true })
})

/** The targets of a service with these checks, and what a prober sees there: by the type of check. */
async function seen(checks: readonly string[]) {
  const service = `web:
  sites: {fra: {vips: [{address: 192.0.2.10, check: {address: ${ADDRESS}}}]}}
  check: [${checks.join(', ')}]
`
  const files = {
    'defaults.yaml': 'soa: {serial: 1}\n',
    'sites.yaml': 'fra: {location: [50.11, 8.68]}\n',
    'example.com.yaml': '"": {type: NS, values: [ns1.example.net.]}\n',
    'services.yaml': service,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'zones', name), text)
  const { model, problems } = await loadFolder(join(folder, 'zones'))
  expect(problems.map(formatProblem)).toEqual([])
  const { targets, members } = makeHealthSpec(model!)
  expect(members[0]!.targets).toHaveLength(checks.length)
  const observations = await Promise.all(
    members[0]!.targets.map((id) =>
      runCheck(
        targets.find((target) => target.id === id)!,
        { login: [join(folder, 'check')] },
      ),
    ),
  )
  return observations.map(({ kind, reason, share }) => `${kind}: ${reason}${share === undefined ? '' : ` (${share})`}`)
}

test('a list of http and agent: both are asked, and the agent tells the share', async () => {
  const checks = [`{type: http, port: ${ports['http']}}`, `{type: agent, port: ${ports['agent']}}`]
  line = 'up 40%\n'
  expect(await seen(checks)).toEqual(['pass: 200', 'pass: agent says 40% (400)'])
  line = 'drain'
  expect(await seen(checks)).toEqual(['pass: 200', 'pass: agent says drain (0)'])
  line = 'down # disk full\n'
  expect(await seen(checks)).toEqual(['pass: 200', 'fail: agent says down: disk full'])
})

test('every kind dials the address of the check, and names the VIP', async () => {
  line = 'ready\n'
  asked.length = 0
  const outcome = await seen([
    `{type: http, port: ${ports['http']}}`,
    `{type: tcp, port: ${ports['http']}}`,
    `{type: tls, port: ${ports['tls']}, verify: false}`,
    `{type: tls, port: ${ports['tls']}}`,
    `{type: tls, port: ${ports['tls']}, host: www.example.com, verify: false}`,
    `{type: grpc, port: ${ports['grpc']}}`,
    `{type: grpc, port: ${ports['secure']}, tls: true, verify: false}`,
    `{type: dns, port: ${ports['dns']}, name: www.example.com}`,
    '{type: exec, command: login, port: 99}',
    '{type: exec, command: logout}',
    `{type: agent, port: ${ports['agent']}}`,
    '{type: icmp}',
  ])
  // whether this kernel allows icmp is the machine's affair
  expect(outcome.pop()).toMatch(/^(pass: reply|unable: this host forbids ICMP)/)
  expect(outcome).toEqual([
    'pass: 200',
    'pass: connected',
    'pass: certificate until 2099-12-31',
    'fail: certificate of an unknown issuer: Meridian test authority, whose certificate the site does not send',
    'pass: certificate until 2099-12-31',
    'pass: SERVING',
    'pass: SERVING, certificate until 2099-12-31',
    'pass: NOERROR',
    'pass: exit 0',
    'unable: probe.exec of this prober has no command logout',
    'pass: agent says ready',
  ])
  expect(asked.toSorted()).toEqual(
    ['http 192.0.2.10', 'grpc 192.0.2.10', 'grpc 192.0.2.10', 'tls www.example.com'].toSorted(),
  )
})
