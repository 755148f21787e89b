/**
 * The folder of YAML files → Model and Problems: the loader of `serve`, `check`, `explain` and `plan` alike. Never throws
 * for what an operator wrote, and never stops at the first fault. Files are read one after the other; what each gave is
 * kept under a hash of its content, so a reload parses only what changed.
 *
 *   defaults.yaml ─▶ sites.yaml ─▶ services.yaml, services/*.yaml ─┐
 *                └─▶ NAME.DOMAIN.yaml … (records.ts, each apart)  ─┴▶ what concerns more than one file ─▶ Model
 */
import { createHash, hash as hashOf } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { formatName, isFault } from '../dns/name.ts'
import { encodeRdata } from '../dns/rdata.ts'
import { TYPE } from '../dns/types.ts'
import type { PrefixTable } from '../geo/prefixes.ts'
import { comparePlaces, didYouMean, type Problem, type Report } from '../problem.ts'
import { checkNesting, checkSharedVips, steer } from './resolve.ts'
import { checkBudgets } from './budget.ts'
import { type CheckPart, readNamedChecks } from './checks.ts'
import { lastChangeOf } from './git.ts'
import type { Model, Position, ServiceModel, SiteModel } from './model.ts'
import type { SoaModel } from './pack.ts'
import { Reader } from './read.ts'
import { keyOf, readZone, type ZoneFile } from './records.ts'
import type { PrefixReader } from './rules.ts'
import { readService, readSites, type ServiceContext } from './services.ts'
import { readSubnets } from './subnets.ts'
import { type Node, parseYaml, Source } from './yaml.ts'

/** What one file gave; opaque outside this folder. */
export interface LoadedFile {
  /** Hash of the file's content, and for zones of the defaults that go into it. */
  readonly hash: string
  readonly problems: readonly Problem[]
  /** Of a zone; undefined when it is none. */
  readonly zone?: ZoneFile | undefined
  /** Of any other file: its tree, empty when it could not be parsed. */
  readonly tree?: { readonly source: Source; readonly root: Node }
  /** Of a file of subnets; undefined when it is faulty. */
  readonly prefixes?: PrefixTable | undefined
}

export interface Loaded {
  /** undefined when there is an error among the problems. */
  readonly model?: Model
  /** In order of file, line and column. */
  readonly problems: readonly Problem[]
  /** Hash of all files' names and contents and the serial: equal folders have equal hashes. */
  readonly hash: string
  /** For the next load. */
  readonly files: ReadonlyMap<string, LoadedFile>
  /** Files beyond the folder that its files include. */
  readonly outside?: readonly string[]
}

export const DEFAULTS_KEYS = ['soa', 'ttl', 'checks']
const DEFAULT_TTL_SECONDS = 3600

/** How far a load is: zone files. */
export interface Progress {
  readonly parsed: number
  readonly files: number
  /** Owner names so far. */
  readonly names: number
}

/** Loads every file of the folder; `previous` = what the last call returned, whether it had a model or not. */
export async function loadFolder(
  folder: string,
  previous?: Loaded,
  onProgress?: (progress: Progress) => void,
): Promise<Loaded> {
  const loading = new Loading(folder, previous?.files ?? new Map(), onProgress)
  const model = await loading.load()
  const problems = loading.problems.toSorted(comparePlaces)
  const whole = problems.every(({ severity }) => severity !== 'error')
  return { ...(whole && { model }), problems, hash: loading.hash(), files: loading.files }
}

interface Defaults {
  readonly ttlSeconds: number
  readonly checks: ReadonlyMap<string, CheckPart>
  readonly soa: SoaDefaults
}

interface SoaDefaults {
  readonly mname: string | undefined
  readonly rname: string | undefined
  readonly serial: number | undefined
  readonly refresh: number
  readonly retry: number
  readonly expire: number
  readonly minimum: number
}

class Loading {
  readonly problems: Problem[] = []
  readonly files = new Map<string, LoadedFile>()
  readonly #folder: string
  readonly #previous: ReadonlyMap<string, LoadedFile>
  readonly #report: Report = (problem) => this.problems.push(problem)
  readonly #onProgress: ((progress: Progress) => void) | undefined
  #serial = 0

  constructor(
    folder: string,
    previous: ReadonlyMap<string, LoadedFile>,
    onProgress: ((progress: Progress) => void) | undefined,
  ) {
    this.#folder = folder
    this.#previous = previous
    this.#onProgress = onProgress
  }

  hash(): string {
    const hash = createHash('sha256').update(`${this.#serial}\n`)
    for (const [path, file] of [...this.files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
      hash.update(`${path} ${file.hash}\n`)
    return hash.digest('hex')
  }

  async load(): Promise<Model> {
    const { zones: zonePaths, services: servicePaths, others, strangers } = await this.#list()
    const defaults = await this.#defaults(others.includes('defaults.yaml'))
    const sites = others.includes('sites.yaml') ? await this.#sites() : new Map<string, SiteModel>()
    const services = await this.#services(servicePaths, { sites, checks: defaults.checks, prefixes: this.#prefixes })
    await this.#reportStrangers(strangers)
    const zones = await this.#zones(zonePaths, defaults)
    this.#serial = defaults.soa.serial ?? (await this.#gitSerial())
    for (const service of zones.flatMap(({ dynamics }) => dynamics)) services.set(service.name, service)
    const whole = [...services.values()].filter((service) => 'at' in service)
    checkSharedVips(whole, sites, this.#report)
    checkNesting(zones, this.#report)
    checkBudgets(zones, whole, this.#report)
    return {
      sites: withPools(sites, zones),
      services: whole.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      zones: zones.map((zone) => ({
        apex: zone.apex,
        sets: steer(zone, services, this.#report),
        bytes: zone.bytes,
        services: zone.services,
        at: zone.at,
        files: zone.files,
        soa: soaOf(zone, defaults, this.#serial),
      })),
    }
  }

  /** The folder's files, relative to it, sorted: zones, files of services, the two others, and what is none of them. */
  async #list(): Promise<{ zones: string[]; services: string[]; others: string[]; strangers: string[] }> {
    const zones: string[] = []
    const services: string[] = []
    const others: string[] = []
    const strangers: string[] = []
    for (const { name, isFolder } of await this.#entries('')) {
      if (name === 'services' && isFolder) {
        for (const inner of await this.#entries('services')) {
          if (!inner.isFolder && inner.name.endsWith('.yaml')) services.push(`services/${inner.name}`)
          else strangers.push(`services/${inner.name}`)
        }
      } else if (isFolder) strangers.push(name)
      else if (name === 'services.yaml') services.push(name)
      else if (name === 'defaults.yaml' || name === 'sites.yaml') others.push(name)
      else if (name.endsWith('.yaml') && name.slice(0, -5).includes('.')) zones.push(name)
      else strangers.push(name)
    }
    return { zones, services, others, strangers }
  }

  /** Of files and folders that are nobody's by their names, those that no rule has named. */
  async #reportStrangers(paths: readonly string[]): Promise<void> {
    const named = [...this.files.keys()]
    for (const path of paths) {
      if (this.files.has(path)) continue
      if (!named.some((file) => file.startsWith(`${path}/`))) this.#unknownFile(path)
      else await this.#reportStrangers((await this.#entries(path)).map(({ name }) => `${path}/${name}`))
    }
  }

  async #entries(inner: string): Promise<readonly { readonly name: string; readonly isFolder: boolean }[]> {
    const path = join(this.#folder, inner)
    try {
      const entries = await readdir(path, { withFileTypes: true })
      const known = entries.filter(({ name }) => !name.startsWith('.') && name !== 'README.md')
      const listed = known.map(async (entry) => ({
        name: entry.name,
        isFolder: entry.isSymbolicLink()
          ? (await stat(join(path, entry.name)).catch(() => entry)).isDirectory()
          : entry.isDirectory(),
      }))
      return (await Promise.all(listed)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    } catch (error) {
      this.#unreadable(path, error)
      return []
    }
  }

  #unreadable(file: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    this.#report({ code: 'file-unreadable', severity: 'error', file, line: 0, column: 0, message })
  }

  #isReadable(): boolean {
    return this.problems.every(({ code }) => code !== 'file-unreadable')
  }

  #unknownFile(path: string): void {
    const hint = path.endsWith('.yml')
      ? 'Rename it to .yaml'
      : ((path.includes('/')
          ? undefined
          : didYouMean(path, ['defaults.yaml', 'sites.yaml', 'services.yaml', 'services'])) ??
        'A zone is named like example.com.yaml')
    const place = { file: join(this.#folder, path), line: 0, column: 0 }
    this.#report({ code: 'file-unknown', severity: 'error', ...place, message: 'no such file belongs here', hint })
  }

  /** Reads one file; what `parse` makes of it is kept while its content and `context` stay the same. */
  async #file(
    path: string,
    context: string,
    parse: (source: Source, report: Report) => Pick<LoadedFile, 'zone' | 'tree'>,
  ): Promise<LoadedFile | undefined> {
    const file = join(this.#folder, path)
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      this.#unreadable(file, error)
      return undefined
    }
    const hash = hashOf('sha256', `${context}\n${text}`, 'base64')
    let loaded = this.#previous.get(path)
    if (loaded?.hash !== hash) {
      const problems: Problem[] = []
      const result = parse(new Source(file, text), (problem) => problems.push(problem))
      loaded = { hash, problems, ...result }
    }
    this.files.set(path, loaded)
    this.problems.push(...loaded.problems)
    return loaded
  }

  /** A file of subnets, for a rule: read once a load, and parsed once while its content stays the same. */
  readonly #prefixes: PrefixReader = (file, fault) => {
    const path = relative(this.#folder, file)
    if (path.startsWith('..') || path.endsWith('.yaml')) {
      const why = path.startsWith('..') ? 'lies outside of the folder of zones' : 'is YAML, and no list of prefixes'
      fault('value-invalid', `${path} ${why}`)
      return undefined
    }
    if (this.files.has(path)) return this.files.get(path)!.prefixes
    let text: string
    try {
      text = readFileSync(join(this.#folder, path), 'utf8')
    } catch (error) {
      fault('file-unreadable', `cannot read the file of subnets: ${String(error)}`)
      return undefined
    }
    const hash = hashOf('sha256', text, 'base64')
    let loaded = this.#previous.get(path)
    if (loaded?.hash !== hash) {
      const problems: Problem[] = []
      const prefixes = readSubnets(new Source(join(this.#folder, path), text), (problem) => problems.push(problem))
      loaded = { hash, problems, prefixes }
    }
    this.files.set(path, loaded)
    this.problems.push(...loaded.problems)
    return loaded.prefixes
  }

  async #tree(path: string): Promise<{ readonly read: Reader; readonly root: Node } | undefined> {
    const loaded = await this.#file(path, '', (source, report) => {
      const root = parseYaml(source, report)
      return root === undefined ? {} : { tree: { source, root } }
    })
    return loaded?.tree && { read: new Reader(loaded.tree.source, this.#report), root: loaded.tree.root }
  }

  async #defaults(isThere: boolean): Promise<Defaults> {
    const tree = isThere ? await this.#tree('defaults.yaml') : undefined
    const fields = tree?.read.fields(tree.root, 'defaults.yaml', DEFAULTS_KEYS)
    const checks = fields?.get('checks')
    const soa = fields?.get('soa')
    return {
      ttlSeconds: tree?.read.seconds(fields?.get('ttl'), 0, DEFAULT_TTL_SECONDS) ?? DEFAULT_TTL_SECONDS,
      checks: tree && checks ? readNamedChecks(tree.read, checks.value) : new Map(),
      soa: readSoa(tree?.read, soa?.value),
    }
  }

  async #sites(): Promise<ReadonlyMap<string, SiteModel>> {
    const tree = await this.#tree('sites.yaml')
    return tree ? readSites(tree.read, tree.root) : new Map()
  }

  /** All that are written; of faulty ones only where. */
  async #services(paths: readonly string[], context: ServiceContext): Promise<Map<string, ServiceModel | Position>> {
    const services = new Map<string, ServiceModel | Position>()
    for (const path of paths) {
      const tree = await this.#tree(path)
      if (tree === undefined) continue
      for (const entry of tree.read.entries(tree.root, path)) {
        const other = services.get(entry.key.text)
        const service = readService(tree.read, entry, context)
        if (other === undefined) services.set(entry.key.text, service ?? tree.read.at(entry.key))
        else {
          const { file, line } = 'at' in other ? other.at : other
          tree.read.fault('service-duplicate', entry.key, `service ${entry.key.text} is also at ${file}:${line}`)
        }
      }
    }
    return services
  }

  async #zones(paths: readonly string[], { ttlSeconds }: Defaults): Promise<readonly ZoneFile[]> {
    const zones = new Map<string, ZoneFile>()
    let names = 0
    for (const [parsed, path] of paths.entries()) {
      this.#onProgress?.({ parsed, files: paths.length, names })
      const name = path.slice(0, -'.yaml'.length)
      const parse = (source: Source, report: Report): { zone: ZoneFile | undefined } => ({
        zone: readZone(source, name, ttlSeconds, report),
      })
      const zone = (await this.#file(path, String(ttlSeconds), parse))?.zone
      if (zone === undefined) continue
      names += zone.names
      const other = zones.get(keyOf(zone.apex))
      if (other === undefined) zones.set(keyOf(zone.apex), zone)
      else {
        const message = `zone ${formatName(zone.apex)} is also in ${other.at.file}`
        this.#report({ code: 'zone-duplicate', severity: 'error', ...zone.at, message })
      }
    }
    if (paths.length === 0 && this.#isReadable()) {
      const hint = 'A zone is a file named like example.com.yaml'
      const place = { file: this.#folder, line: 0, column: 0 }
      this.#report({ code: 'zones-missing', severity: 'error', ...place, message: 'there is no zone here', hint })
    }
    return [...zones.values()]
  }

  /** Unix time of the last commit that touched the folder; 1 and a warning where git can't tell. */
  async #gitSerial(): Promise<number> {
    const told = await lastChangeOf(this.#folder)
    if (typeof told === 'number') return told
    const { reason } = told
    const message = `the serial is 1: none is written, and git says: ${reason}`
    const hint = 'Write `serial` under `soa` in defaults.yaml, or keep the folder in git'
    const place = { file: this.#folder, line: 0, column: 0 }
    if (this.#isReadable()) {
      this.#report({ code: 'serial-unknown', severity: 'warning', ...place, message, hint })
    }
    return 1
  }
}

/** The sites, and for each pool of a dynamic record that is named like none of them one without a place. */
function withPools(sites: ReadonlyMap<string, SiteModel>, zones: readonly ZoneFile[]): ReadonlyMap<string, SiteModel> {
  const all = new Map(sites)
  for (const { sites: pools, at } of zones.flatMap(({ dynamics }) => dynamics)) {
    for (const { site: name } of pools) {
      if (all.has(name)) continue
      const place = { latitude: Number.NaN, longitude: Number.NaN, region: '' }
      all.set(name, { name, ...place, capacity: 100, declaresCapacity: false, drained: false, at })
    }
  }
  return all
}

export const SOA_KEYS = ['mname', 'rname', 'serial', 'refresh', 'retry', 'expire', 'minimum']

function readSoa(read: Reader | undefined, node: Node | undefined): SoaDefaults {
  const fields = node && read?.fields(node, '“soa”', SOA_KEYS)
  const number = (key: string, missing: number): number => read?.seconds(fields?.get(key), 0, missing) ?? missing
  const soa = {
    mname: read?.text(fields?.get('mname'), undefined),
    rname: read?.text(fields?.get('rname'), undefined),
    serial: read?.integer(fields?.get('serial'), 0, 0xffffffff, undefined),
    refresh: number('refresh', 7200),
    retry: number('retry', 900),
    expire: number('expire', 1_209_600),
    minimum: number('minimum', 60),
  }
  const encoded = encodeSoa(soa, '.', '.', 1)
  if (isFault(encoded) && read && node) {
    read.fault('rdata-invalid', fields?.get(encoded.field ?? '')?.value ?? node, encoded.fault)
    return { ...soa, mname: undefined, rname: undefined }
  }
  return soa
}

function encodeSoa(soa: SoaDefaults, mname: string, rname: string, serial: number): ReturnType<typeof encodeRdata> {
  const { refresh, retry, expire, minimum } = soa
  const numbers = { serial, refresh, retry, expire, minimum }
  const texts = Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, String(value)]))
  return encodeRdata(TYPE.SOA, { mname: soa.mname ?? mname, rname: soa.rname ?? rname, ...texts })
}

function soaOf(zone: ZoneFile, { soa, ttlSeconds }: Defaults, serial: number): SoaModel {
  const apex = formatName(zone.apex)
  const hostmaster = apex.length > 240 ? apex : `hostmaster.${apex}`
  const rdata = encodeSoa(soa, zone.firstServer ?? '.', hostmaster, serial)
  if (isFault(rdata)) throw new Error(`SOA of ${apex}: ${rdata.fault}`)
  return { rdata, ttlSeconds, negativeTtlSeconds: Math.min(ttlSeconds, soa.minimum) }
}
