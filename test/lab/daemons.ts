/**
 * The programs of the lab that are not Meridian, each with its configuration: NSD, Unbound, HAProxy, nginx, keepalived, Redis,
 * git and BIRD. Each is a process of its own on its host, in the foreground, ended by its pid.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Network } from './network.ts'
import { address, ANYCAST, GIT, GIT_PORT, PARENT, REDIS, REDIS_PORT, type Region, SITE_OF, ZONE } from './plan.ts'

/** What a program is started with. */
export interface Program {
  readonly host: string
  readonly words: readonly string[]
  /** Its files, by their names in its folder. */
  readonly files: Readonly<Record<string, string>>
}

/** A program on a host, that may be started again. */
export class Daemon {
  readonly #network: Network
  readonly #program: Program
  #child: ChildProcess | undefined
  /** What it said, the last part. */
  said = ''

  constructor(network: Network, folder: string, program: Program) {
    this.#network = network
    this.#program = program
    for (const [name, text] of Object.entries(program.files)) {
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, name), text)
    }
  }

  start(): this {
    const [command, ...args] = [...this.#network.on(this.#program.host), ...this.#program.words]
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => (this.said = (this.said + data.toString()).slice(-4_000)))
    this.#child = child
    return this
  }

  get runs(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  get pid(): number | undefined {
    return this.runs ? this.#child!.pid : undefined
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.runs) return
    const ended = once(this.#child!, 'exit')
    this.#child!.kill(signal)
    await ended
  }
}

/** The parent: the root, and `example`, which delegates the subdomain to the anycast address. */
export function nsd(folder: string): Program {
  const soa = '@ 86400 SOA ns.nic.example. hostmaster.nic.example. 1 3600 900 1209600 60'
  const own = `ns.nic.example. 86400 A ${PARENT.v4}\nns.nic.example. 86400 AAAA ${PARENT.v6}`
  return {
    host: 'parent',
    words: ['nsd', '-d', '-c', join(folder, 'nsd.conf')],
    files: {
      'nsd.conf': `server:
  ip-address: ${PARENT.v4}
  ip-address: ${PARENT.v6}
  username: ""
  zonesdir: "${folder}"
  database: ""
  pidfile: ""
  xfrdfile: "${join(folder, 'xfrd.state')}"
  zonelistfile: "${join(folder, 'zone.list')}"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: "root.zone"
zone:
  name: "example"
  zonefile: "example.zone"
`,
      'root.zone': `$ORIGIN .\n${soa}\n. 86400 NS ns.nic.example.\nexample. 86400 NS ns.nic.example.\n${own}\n`,
      'example.zone': `$ORIGIN example.
${soa}
@ 86400 NS ns.nic.example.
${own}
${ZONE}. 86400 NS ns1.${ZONE}.
ns1.${ZONE}. 86400 A ${ANYCAST.v4}
ns1.${ZONE}. 86400 AAAA ${ANYCAST.v6}
www.example. 300 CNAME www.${ZONE}.
`,
    },
  }
}

/** A resolver that tells the node its clients' subnets. It begins at the root. */
export function unbound(folder: string, region: Region): Program {
  const { v4, v6 } = address(region, 'resolver')
  return {
    host: `${region}-resolver`,
    words: ['unbound', '-d', '-c', join(folder, 'unbound.conf')],
    files: {
      'root.hints': `. 86400 NS ns.nic.example.\nns.nic.example. 86400 A ${PARENT.v4}\nns.nic.example. 86400 AAAA ${PARENT.v6}\n`,
      'unbound.conf': `server:
  directory: "${folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  interface: ${v4}
  interface: ${v6}
  outgoing-interface: ${v4}
  outgoing-interface: ${v6}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  module-config: "subnetcache iterator"
  send-client-subnet: ${ANYCAST.v4}
  send-client-subnet: ${ANYCAST.v6}
  root-hints: "root.hints"
  infra-keep-probing: yes
  # it asks on for as long as its clients wait; after 1.9 s it would drop them, and leave it to them to ask again
  discard-timeout: 4900
  infra-host-ttl: 60
remote-control:
  control-enable: no
`,
    },
  }
}

const HAPROXY_CONF = (site: string): string => `global
  nbthread 1
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend site
  bind :80
  bind :::80 v6only
  http-request return status 200 content-type text/plain string "${site}\\n"
`

export const haproxy = (folder: string, host: string, site: string): Program => ({
  host,
  words: ['haproxy', '-db', '-f', join(folder, 'haproxy.cfg')],
  files: { 'haproxy.cfg': HAPROXY_CONF(site) },
})

export const nginx = (folder: string, host: string, site: string): Program => ({
  host,
  words: ['nginx', '-e', 'stderr', '-p', folder, '-c', join(folder, 'nginx.conf')],
  files: {
    'nginx.conf': `daemon off;
master_process off;
error_log stderr;
pid ${folder}/pid;
events { }
http {
  access_log off;
  client_body_temp_path ${folder};
  proxy_temp_path ${folder};
  fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder};
  scgi_temp_path ${folder};
  server {
    listen 80;
    listen [::]:80;
    location / { default_type text/plain; return 200 "${site}\\n"; }
  }
}
`,
  },
})

/** One of the two hosts that share the VIP of ap's site. */
export function keepalived(folder: string, lb: 'lb1' | 'lb2'): Program {
  const { v4, v6 } = address('ap', 'vip')
  const pids = ['--pid', join(folder, 'pid'), '--vrrp_pid', join(folder, 'vrrp.pid')]
  return {
    host: `ap-${lb}`,
    words: ['keepalived', '--dont-fork', '--log-console', '--vrrp', '-f', join(folder, 'keepalived.conf'), ...pids],
    files: {
      'keepalived.conf': `global_defs {
  router_id ${lb}
  vrrp_version 3
  vrrp_garp_master_delay 1
}
vrrp_instance site {
  interface eth0
  state BACKUP
  virtual_router_id 10
  priority ${lb === 'lb1' ? 200 : 100}
  advert_int 0.2
  virtual_ipaddress { ${v4}/24 }
  virtual_ipaddress_excluded { ${v6}/64 }
}
`,
    },
  }
}

export const redis = (folder: string): Program => ({
  host: 'redis',
  words: ['redis-server', join(folder, 'redis.conf')],
  files: {
    'redis.conf': `bind ${REDIS.v4}\nport ${REDIS_PORT}\ndir ${folder}\nprotected-mode no\nsave ""\nappendonly no\n`,
  },
})

/** Serves the repository of the zones to all. `base`: the folder that it is in. */
export const gitDaemon = (base: string): Program => ({
  host: 'git',
  words: [
    'git',
    'daemon',
    '--reuseaddr',
    `--listen=${GIT.v4}`,
    `--port=${GIT_PORT}`,
    `--base-path=${base}`,
    '--export-all',
    base,
  ],
  files: {},
})

/** A node's loop that keeps its clone at what is in the repository, as git-sync does. */
export const gitSync = (host: string, clone: string): Program => ({
  host,
  words: [
    'env',
    '-C',
    clone,
    'sh',
    '-c',
    `while :; do
  to=$(git ls-remote origin main)
  [ "$to" = "$at" ] || { git fetch -q origin main && git reset -q --hard FETCH_HEAD && at=$to; }
  sleep ${GIT_SYNC_SECONDS}
done`,
  ],
  files: {},
})
export const GIT_SYNC_SECONDS = 2

export const bird = (folder: string, host: string, conf: string): Program => ({
  host,
  words: [
    'bird',
    '-f',
    '-c',
    join(folder, 'bird.conf'),
    '-s',
    join(folder, 'bird.ctl'),
    '-P',
    join(folder, 'bird.pid'),
  ],
  files: { 'bird.conf': conf },
})

export const siteOf = (folder: string, region: Region, lb: string): Program => {
  const host = `${region}-${lb}`
  return region === 'us' ? nginx(folder, host, SITE_OF[region]) : haproxy(folder, host, SITE_OF[region])
}
