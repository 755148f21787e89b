/**
 * Where the commands of the docs run: a folder with a repository of zones, databases, the configuration of other servers, and a node
 * that serves the zones. Absolute paths and addresses of the docs are this folder's and this node's.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { MAIN } from '../support/program.ts'
import { DNS_PORT, HTTP_PORT, type NodeProcess, Scene } from '../support/scene.ts'
import { until } from '../support/until.ts'

const SITES = { fra: '50.11, 8.68', iad: '38.95, -77.45', sin: '1.35, 103.99', lon: '51.47, -0.45' }
/** Services and their checks: whose members come up a moment after the start. */
const SERVICES = { web: 'none', api: 'none', orders: '{type: tcp, port: PORT, address: ADDRESS, interval: 1s}' }
const ZONE = `"": {type: NS, values: [ns1.example.net., ns2.example.net.]}\nwww: {type: GSLB, service: web}\n`

/** Files by their paths below the folder. */
const FILES: Readonly<Record<string, string>> = {
  'zones/defaults.yaml': 'soa: {mname: ns1.example.net., rname: dns.example.net.}\n',
  'zones/sites.yaml': Object.entries(SITES)
    .map(([site, at]) => `${site}: {location: [${at}], region: eu}\n`)
    .join(''),
  'zones/services.yaml': Object.entries(SERVICES)
    .map(([service, check], i) => {
      const vips = Object.keys(SITES).map((site, n) => `${site}: {vips: [192.0.2.${10 * i + n + 1}]}`)
      return `${service}:\n  sites: {${vips.join(', ')}}\n  check: ${check}\n`
    })
    .join(''),
  'zones/gslb.example.com.yaml': ZONE,
  'zones/example.com.yaml': ZONE,
  'counts.csv': '192.0.2.0/24,10\n198.51.100.0/24,5\n',
  'queries.log':
    '{"time":"2026-11-30T01:02:03.045Z","client":"192.0.2.7","port":40112,"transport":"udp","name":"www.example.com.","type":"A","ecs":"198.51.100.0/24","scope":22,"rcode":"NOERROR","tc":false,"bytes":60,"service":"web","site":"fra"}\n',
  'etc/meridian/meridian.yaml': 'zones: ../../zones\n',
  'etc/gdnsd/config':
    'service_types => { up => { plugin => static, state => up } } plugins => { multifo => { w => { service_types => up, a => 192.0.2.7 } } }',
  'etc/gdnsd/zones/example.com': '@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\nw DYNA multifo!w\n',
  'var/named/db.example.com': '$TTL 60\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n',
  'etc/powerdns/geo.yaml': `domains:
- domain: example.com
  ttl: 30
  records:
    example.com: [{soa: ns1.example.com host.example.com 1 2 3 4 5}, {ns: ns1.example.com}]
    ns1.example.com: [{a: 192.0.2.1}]
`,
  'record-sets.json': JSON.stringify({
    ResourceRecordSets: [
      ['example.com.', 'SOA', 'ns1.example.net. host.example.net. 1 7200 900 1209600 300'],
      ['example.com.', 'NS', 'ns1.example.net.'],
      ['www.example.com.', 'A', '192.0.2.1'],
    ].map(([Name, Type, Value]) => ({ Name, Type, TTL: 60, ResourceRecords: [{ Value }] })),
  }),
  tokens: '',
}

/** What a command said. */
export interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** The folder, the node and the shell. */
export class DocsScene {
  readonly #scene = new Scene()
  readonly folder: string = join(this.#scene.folder, 'docs')
  #node: NodeProcess | undefined
  #head = ''
  /** What the check of orders reaches. */
  readonly #gateway = createServer((socket) => void socket.end().on('error', () => undefined))

  async start(): Promise<void> {
    this.#gateway.listen(0, this.#scene.address(1))
    await once(this.#gateway, 'listening')
    const address = this.#gateway.address()
    const port = typeof address === 'object' ? address!.port : 0
    for (const [file, text] of Object.entries(FILES)) {
      mkdirSync(dirname(join(this.folder, file)), { recursive: true })
      writeFileSync(join(this.folder, file), text.replace('PORT', `${port}`).replace('ADDRESS', this.#scene.address(1)))
    }
    mkdirSync(join(this.folder, 'var/lib/GeoIP'), { recursive: true })
    for (const name of ['old.mmdb', 'new.mmdb', 'GeoLite2-City.mmdb', 'var/lib/GeoIP/GeoLite2-City.mmdb'])
      copyFileSync(this.#scene.city, join(this.folder, name))
    for (const name of ['old-zones', 'new-zones'])
      cpSync(join(this.folder, 'zones'), join(this.folder, name), { recursive: true })
    chmodSync(join(this.folder, 'tokens'), 0o600)
    this.#commit()
    this.#program('meridian', `exec ${process.execPath} ${MAIN} "$@"`)
    this.#program('curl', 'exec /usr/bin/curl --silent --show-error --fail-with-body "$@"')
    this.#program('dig', `exec /usr/bin/dig -p ${DNS_PORT} "$@"`)
    this.#node = await this.#scene.startReady({
      zones: join(this.folder, 'zones'),
      state: join(this.folder, 'state'),
      'http-tokens': join(this.folder, 'tokens'),
    })
  }

  /** The zones as two commits of main, the second of which is that of origin/main, too. */
  #commit(): void {
    const git = (...words: readonly string[]): void =>
      void execFileSync('git', words, { cwd: this.folder, env: this.#env, stdio: 'ignore' })
    git('init', '--initial-branch=main')
    git('add', 'zones')
    git('commit', '-m', 'Zones')
    writeFileSync(join(this.folder, 'zones/example.com.yaml'), `${ZONE}new: {type: A, values: [192.0.2.81]}\n`)
    git('commit', '-am', 'A record')
    git('update-ref', 'refs/remotes/origin/main', 'HEAD')
    this.#head = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: this.folder, encoding: 'utf8' }).trim()
  }

  #program(name: string, line: string): void {
    const file = join(this.folder, 'bin', name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `#!/bin/sh\n${line}\n`)
    chmodSync(file, 0o755)
  }

  get #env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      CI: '', // who reads docs sits at a terminal
      PATH: `${join(this.folder, 'bin')}:${process.env['PATH']}`,
      HOME: this.folder,
      GIT_CONFIG_SYSTEM: join(this.folder, 'etc/gitconfig'),
      GIT_AUTHOR_NAME: 'kim',
      GIT_AUTHOR_EMAIL: 'kim@example.com',
      GIT_COMMITTER_NAME: 'kim',
      GIT_COMMITTER_EMAIL: 'kim@example.com',
      MERIDIAN_STATE: join(this.folder, 'state'),
      MERIDIAN_GEO_CITY: this.#scene.city,
      COMMIT: this.#head,
    }
  }

  /** The command as it is said here. */
  #here(command: string): string {
    return command
      .replaceAll(/(?<=^|[\s'"=>[])\/(?=(?:etc|var|srv|run)\/)/g, `${this.folder}/`)
      .replaceAll(/(?<=@)(?:127\.0\.0\.1|192\.0\.2\.53)\b|192\.0\.2\.53(?=:8053)/g, this.#scene.address(0))
      .replaceAll(/(?<=:)8053/g, `${HTTP_PORT}`)
  }

  /** Runs a command, or a script, to its end. */
  async run(command: string, cwd = this.folder): Promise<Said> {
    const options = { cwd, env: this.#env, timeout: 60_000 }
    return promisify(execFile)('sh', ['-c', this.#here(command)], options).then(
      ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
      (error: { code?: unknown; stdout?: string; stderr?: string }) => ({
        code: typeof error.code === 'number' ? error.code : -1, // ended by a signal, for instance
        out: error.stdout ?? '',
        err: error.stderr ?? '',
      }),
    )
  }

  /** Runs a command that does not end by itself until it says something that fits, and ends it. */
  async runUntil(command: string, says: RegExp): Promise<void> {
    // a second node has its own address and state
    const env = {
      ...this.#env,
      MERIDIAN_LISTEN: `${this.#scene.address(5)}:${DNS_PORT}`,
      MERIDIAN_HTTP_LISTEN: `${this.#scene.address(5)}:${HTTP_PORT}`,
      MERIDIAN_STATE: join(this.folder, 'other'),
    }
    const serves = command.includes('meridian serve')
    const child = spawn('sh', ['-c', this.#here(command)], {
      cwd: this.folder,
      env: serves ? env : this.#env,
      detached: true,
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (said += data.toString()))
    const ended = once(child, 'close')
    try {
      await until(
        () => `${command} says ${says.source}: ${said}`,
        () => {
          if (child.exitCode !== null) throw new Error(`${command} has ended: ${said}`)
          return says.test(said)
        },
      )
    } finally {
      if (child.exitCode === null) process.kill(-child.pid!, 'SIGKILL')
      await ended
    }
  }

  /** Takes up a token that `meridian token` has said. */
  addToken(line: string): void {
    writeFileSync(join(this.folder, 'tokens'), line)
  }

  /** A folder for what is imported, without zones. */
  importing(): string {
    const folder = join(this.folder, 'importing')
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    copyFileSync(join(this.folder, 'record-sets.json'), join(folder, 'record-sets.json'))
    return folder
  }

  /** Undoes what commands have ordered. */
  async reset(): Promise<void> {
    const { overrides = [], freeze = null } = (await this.#node!.status()) ?? {}
    for (const { override } of overrides) {
      const { pattern, action } = override
      await this.run(
        action === 'up' || action === 'down' ? `meridian force ${pattern} off` : `meridian undrain ${pattern}`,
      )
    }
    if (freeze !== null) await this.run('meridian unfreeze')
  }

  async close(): Promise<void> {
    await this.#scene.close()
    this.#gateway.close()
  }
}
