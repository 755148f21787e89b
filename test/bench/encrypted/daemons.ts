/**
 * The servers of the encrypted bench: each answers the same static names over UDP, TLS and HTTPS with the same ECDSA
 * certificate, pinned to one core, as a child of this process. BIND serves them as a zone, Unbound as local data.
 */
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnSync } from 'node:child_process'
import { query, UdpClient } from '../../server/client.ts'
import { good } from '../../support/certificates.ts'
import { type Daemon, freePort, spawnPinned } from '../peers/daemons.ts'

export const PACKAGES = ['bind9', 'unbound', 'util-linux']
const ZONE = 'example.com'
const NAMES = Array.from({ length: 100 }, (_, i) => `www${i}`)
/** Connections that servers must allow: what a limit of 20,000 open files suffices for in all of them. */
const CONNECTIONS = 4000

/** A server with its ports; `port` is UDP's. */
export interface EncryptedDaemon extends Daemon {
  readonly dot: number
  readonly doh: number
}

interface Place {
  readonly folder: string
  readonly port: number
  readonly dot: number
  readonly doh: number
  readonly certificate: string
  readonly key: string
}

/** Writes a server's configuration and returns its command. */
type Setup = (place: Place) => string[]

export const SETUPS: Readonly<Record<string, Setup>> = { meridian, bind, unbound }

/** Starts a server and waits until it answers. */
export async function startEncrypted(name: string, root: string, core: number): Promise<EncryptedDaemon> {
  const folder = join(root, name)
  mkdirSync(folder)
  const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  writeFileSync(certificate, `${good.cert}\n`)
  writeFileSync(key, `${good.key}\n`)
  const place = { folder, port: await freePort(), dot: await freePort(), doh: await freePort(), certificate, key }
  const log = join(folder, 'log')
  const child = spawnPinned(core, SETUPS[name]!(place), openSync(log, 'w'))
  process.once('exit', () => child.kill('SIGKILL'))
  const deadlineMs = performance.now() + 30_000
  const client = await UdpClient.to({ address: '127.0.0.1', port: place.port })
  while (client.replies.every((reply) => (reply[3]! & 15) !== 0 || reply[7] !== 1)) {
    if (child.exitCode !== null || performance.now() > deadlineMs) {
      child.kill('SIGKILL')
      throw new Error(`${name} does not answer; its log ends:\n${readFileSync(log, 'utf8').slice(-2000)}`)
    }
    client.socket.send(query(1, `www1.${ZONE}`))
    await sleep(100)
  }
  client.close()
  // threads that pinned themselves
  spawnSync('taskset', ['-a', '-c', '-p', String(core), String(child.pid)])
  return { name, process: child, port: place.port, dot: place.dot, doh: place.doh }
}

function meridian({ folder, port, dot, doh, certificate, key }: Place): string[] {
  const zones = join(folder, 'zones')
  mkdirSync(zones)
  const write = (file: string, value: unknown): void => writeFileSync(join(zones, file), `${JSON.stringify(value)}\n`)
  write('defaults.yaml', { soa: { mname: `ns1.${ZONE}.`, rname: `h.${ZONE}.`, minimum: 60, serial: 1 }, ttl: 3600 })
  write(`${ZONE}.yaml`, {
    '': { type: 'NS', values: [`ns1.${ZONE}.`] },
    ns1: { type: 'A', values: ['127.0.0.1'] },
    ...Object.fromEntries(NAMES.map((name) => [name, { type: 'A', values: ['192.0.2.1'] }])),
  })
  const settings = join(folder, 'meridian.yaml')
  const value = {
    listen: [`127.0.0.1:${port}`],
    tls: { listen: [`127.0.0.1:${dot}`], certificate, key },
    https: { listen: [`127.0.0.1:${doh}`] },
    tcp: { connections: CONNECTIONS },
    threads: 1,
    zones,
    state: join(folder, 'state'),
  }
  writeFileSync(settings, `${JSON.stringify(value)}\n`)
  return [process.execPath, resolve(import.meta.dirname, '../../../src/main.ts'), 'serve', '-c', settings]
}

function bind({ folder, port, dot, doh, certificate, key }: Place): string[] {
  const records = NAMES.map((name) => `${name} A 192.0.2.1`)
  const zone = [
    `$ORIGIN ${ZONE}.`,
    '$TTL 3600',
    '@ SOA ns1 h 1 3600 600 86400 60',
    '@ NS ns1',
    'ns1 A 127.0.0.1',
    ...records,
  ]
  writeFileSync(join(folder, 'zone'), `${zone.join('\n')}\n`)
  writeFileSync(
    join(folder, 'named.conf'),
    `tls own { cert-file "${certificate}"; key-file "${key}"; };
http own { endpoints { "/dns-query"; }; listener-clients ${CONNECTIONS}; };
options {
  directory "${folder}"; pid-file none; session-keyfile none; recursion no; notify no;
  listen-on port ${port} { 127.0.0.1; };
  listen-on port ${dot} tls own { 127.0.0.1; };
  listen-on port ${doh} tls own http own { 127.0.0.1; };
  listen-on-v6 { none; };
  tcp-clients ${CONNECTIONS}; tcp-listen-queue 511; tcp-initial-timeout 1200; tcp-idle-timeout 1200;
};
controls {};
zone "${ZONE}" { type primary; file "${folder}/zone"; };
`,
  )
  return ['named', '-g', '-n', '1', '-c', join(folder, 'named.conf')]
}

function unbound({ folder, port, dot, doh, certificate, key }: Place): string[] {
  writeFileSync(
    join(folder, 'unbound.conf'),
    `server:
  directory: ${folder}
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  interface: 127.0.0.1@${port}
  interface: 127.0.0.1@${dot}
  interface: 127.0.0.1@${doh}
  tls-port: ${dot}
  https-port: ${doh}
  tls-service-pem: ${certificate}
  tls-service-key: ${key}
  incoming-num-tcp: ${CONNECTIONS}
  tcp-idle-timeout: 60000
  local-zone: ${ZONE}. static
${NAMES.map((name) => `  local-data: "${name}.${ZONE}. 3600 A 192.0.2.1"\n`).join('')}remote-control:
  control-enable: no
`,
  )
  return ['unbound', '-d', '-c', join(folder, 'unbound.conf')]
}
