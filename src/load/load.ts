/**
 * The folder of YAML files → Model and Problems: the loader of `serve`, `check`, `explain` and `plan`. It never throws
 * for what an operator wrote, and never stops at the first fault. Files are read one after the other. What each file
 * gave is kept under a hash of its content and of what it includes, so a reload parses only what changed.
 *
 *   defaults.yaml ─▶ sites.yaml ─▶ services.yaml, services/*.yaml ─┐
 *                └─▶ NAME.DOMAIN.yaml, NAME.DOMAIN./*.yaml …       ─┴▶ what concerns more than one file ─▶ Model
 *                    (records.ts, each zone apart)
 *
 * A file that another one includes is a part of that one, whatever its name (includes.ts).
 */
import { createHash, hash as hashOf } from 'node:crypto'
import { join, relative, sep } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { formatName, isFault, keyOf } from '../dns/name.ts'
import { lastChangeOf } from '../git.ts'
import {
  comparePlaces,
  MOST_PROBLEMS,
  type Position,
  type Problem,
  type ProblemCode,
  ProblemList,
  type Report,
  type Severity,
  TooManyErrors,
  hiddenProblems,
} from '../problem.ts'
import { Reader } from '../yaml/read.ts'
import { type Node, Source } from '../yaml/source.ts'
import { type Include, parseYaml } from '../yaml/tree.ts'
import { checkBudgets } from '../zone/budget.ts'
import type { Model, ServiceModel, SiteModel } from '../zone/model.ts'
import { readNamedChecks } from './checks.ts'
import { Files, type SavedFile, type SavedFiles } from './files.ts'
import { readKeys, withDefaults } from './forms.ts'
import { type FileResult, IncludeGraph, type LoadUnit } from './includes.ts'
import type { PartialCheck } from './check-keys.ts'
import { DEFAULTS, SITE, SOA } from './keys.ts'
import { Lister, type ZoneSource } from './list.ts'
import { readZone, type ZoneFile } from './records.ts'
import { checkNesting, checkSharedVips, steer } from './resolve.ts'
import type { PrefixReader } from './rules.ts'
import { readService, readSites, type ServiceContext } from './services.ts'
import { readSoa, type SoaDefaults, soaOf } from './soa.ts'
import { readSubnets } from './subnets.ts'

/** What a load gives; pass it to the next load. */
export interface LoadResult {
  /** undefined when any of the problems is an error. */
  readonly model?: Model
  /** In order of file, line and column. */
  readonly problems: readonly Problem[]
  /** Hash of the files' names and contents, which of them are included, and the serial: equal for equal folders. */
  readonly hash: string
  /**
   * Included files, found or not, that are outside of the folder or hidden, so that watching the folder misses them;
   * sorted.
   */
  readonly outside: readonly string[]
  /** For the next load. */
  readonly files: ReadonlyMap<string, FileResult>
  /** Every file that was read, by path relative to the folder. */
  readonly sources: Files['seen']
  /** SOA serial of all zones. */
  readonly serial: number
}

/** Files that a load reads in place of those on disk. */
export interface SavedZones {
  readonly files: SavedFiles
  /** The SOA serial, used if defaults.yaml has none. */
  readonly serial: number
}

/** The progress of a load. */
export interface Progress {
  /** Zones read so far, and all zones. */
  readonly parsed: number
  readonly files: number
  /** Owner names read so far. */
  readonly names: number
}

/**
 * Loads every file of the folder. `previous`: what the last call returned, with or without a model; its files are
 * parsed again only if they changed. `saved`: files to read in place of those on disk.
 */
export async function loadFolder(
  folder: string,
  previous?: LoadResult,
  onProgress?: (progress: Progress) => void,
  saved?: SavedZones,
): Promise<LoadResult> {
  const loader = new Loader(folder, previous?.files ?? new Map(), onProgress, saved)
  let isStopped = false
  const model = await loader.load().catch((error: unknown) => {
    if (!(error instanceof TooManyErrors)) throw error
    isStopped = true
    return undefined
  })
  const { list } = loader.problems
  isStopped ||=
    loader.problems.count('error') === MOST_PROBLEMS && [...loader.files.values()].some(({ isCut }) => isCut)
  const problems = [...hiddenProblems(loader.problems, folder, isStopped), ...list.toSorted(comparePlaces)]
  const whole = model !== undefined && problems.every(({ severity }) => severity !== 'error')
  return { ...(whole && { model }), problems, ...loader.done() }
}

interface Tree {
  readonly read: Reader
  readonly root: Node
}

interface ZoneUnit extends ZoneSource {
  readonly unit: LoadUnit | undefined
}

interface Defaults {
  readonly ttlSeconds: number
  readonly checks: ReadonlyMap<string, PartialCheck>
  readonly soa: SoaDefaults
}

class Loader {
  /** Each problem once, even if many files include the file that has it. */
  readonly problems = new ProblemList()
  readonly files = new Map<string, FileResult>()
  readonly #folder: string
  readonly #files: Files
  readonly #previous: ReadonlyMap<string, FileResult>
  readonly #report: Report = this.problems.report
  /**
   * Errors of all files parsed so far, including those that may turn out to be parts of others and are not reported.
   */
  #errors = 0
  readonly #onProgress: ((progress: Progress) => void) | undefined
  readonly #saved: SavedZones | undefined
  #serial = 0
  /** Paths of the units that are included by others. */
  #parts: readonly string[] = []

  constructor(
    folder: string,
    previous: ReadonlyMap<string, FileResult>,
    onProgress: ((progress: Progress) => void) | undefined,
    saved: SavedZones | undefined,
  ) {
    this.#onProgress = onProgress
    this.#folder = folder
    this.#files = new Files(folder, saved?.files)
    this.#saved = saved
    this.#previous = previous
  }

  done(): Omit<LoadResult, 'model' | 'problems'> {
    const { seen: sources } = this.#files
    return { hash: this.#hash(), outside: this.#outside(), files: this.files, sources, serial: this.#serial }
  }

  #hash(): string {
    const hash = createHash('sha256').update(`${this.#serial}\n${this.#parts.join('\n')}\n`)
    for (const [path, file] of [...this.files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
      hash.update(`${path} ${file.hash}${this.#includedBy(file)}\n`)
    return hash.digest('hex')
  }

  #includedBy({ includes }: FileResult): string {
    return [...includes].map(([file, state]) => ` ${relative(this.#folder, file)} ${state}`).join('')
  }

  #outside(): string[] {
    const sought = new Set([...this.files.values()].flatMap(({ includes }) => [...includes.keys()]))
    return [...sought].filter((file) => this.#isOutside(file)).toSorted()
  }

  /**
   * Whether a file is outside or hidden. It exists, or may come to exist; a refused one (a whole disk) is not to be
   * watched.
   */
  #isOutside(file: string): boolean {
    const found = this.#files.seek(file)
    const isFile = 'id' in found || found.code === 'file-unreadable'
    return (
      isFile &&
      relative(this.#folder, file)
        .split(sep)
        .some((step) => step.startsWith('.'))
    )
  }

  async load(): Promise<Model> {
    const lister = new Lister(this.#folder, this.#files, this.#report)
    const listing = await lister.list()
    const units: LoadUnit[] = []
    const defaults = this.#defaults(listing.hasDefaults ? await this.#tree('defaults.yaml', units) : undefined)
    const sites = this.#sites(listing.hasSites ? await this.#tree('sites.yaml', units) : undefined)
    const written = await this.#trees(listing.services, units)
    const zoneUnits = await this.#zoneUnits(listing.zones, defaults, units)
    const graph = new IncludeGraph(units, this.#files)
    this.#parts = units.filter((unit) => graph.isPart(unit)).map(({ paths }) => paths.join(' '))
    const services = this.#services(written, graph, { sites, checks: defaults.checks, prefixes: this.#prefixes })
    const zones = this.#zones(zoneUnits, graph)
    await lister.reportUnknown(
      listing.unknown,
      (path) => this.files.has(path) || graph.isIncluded(join(this.#folder, path)),
    )
    this.#serial = defaults.soa.serial ?? this.#saved?.serial ?? (await this.#gitSerial())
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
        soa: soaOf(zone, defaults.soa, defaults.ttlSeconds, this.#serial),
      })),
    }
  }

  #isReadable(): boolean {
    return this.problems.list.every(({ code }) => code !== 'file-unreadable')
  }

  /**
   * Reads files as one unit. The result of `parse` is kept as long as their content, `context` and what they include
   * stay the same. Its problems are not reported yet, because it may be a part of another file. undefined when a file
   * is unreadable.
   */
  async #unit(
    paths: readonly string[],
    context: string,
    canBePart: boolean,
    parse: (
      source: Source,
      report: Report,
      include: Include,
      ids: readonly string[],
    ) => Pick<FileResult, 'zone' | 'tree'>,
  ): Promise<LoadUnit | undefined> {
    await nextTurn() // so that a thread that loads a thousand files can do other work in between
    const texts: (SavedFile & { readonly file: string })[] = []
    for (const path of paths) {
      const file = join(this.#folder, path)
      const read = this.#files.read(file)
      if ('why' in read) {
        const place = { file, line: 0, column: 0 }
        this.#report({ code: 'file-unreadable', severity: 'error', ...place, message: read.why })
      } else texts.push({ file, ...read })
    }
    const [first, ...others] = texts
    if (first === undefined || texts.length < paths.length) return undefined
    const ids = texts.map(({ id }) => id)
    const key = paths.join('\n')
    const hash = hashOf('sha256', [context, ...texts.map((one) => one.hash)].join('\n'), 'base64')
    let loaded = this.#previous.get(key)
    const isSame =
      loaded?.hash === hash &&
      !loaded.isCut &&
      [...loaded.includes].every(([file, state]) => this.#files.seek(file).state === state)
    if (loaded === undefined || !isSame) {
      // with MOST_PROBLEMS errors already, one is enough to know that this file has errors too
      const problems = new ProblemList(this.#errors < MOST_PROBLEMS ? MOST_PROBLEMS : 1)
      const includes = new Map<string, string>()
      const source = new Source(first.file, first.text)
      for (const { file, text } of others) source.add(file, text)
      const include = this.#files.includer(includes)
      for (const [i, { fault }] of texts.entries()) {
        if (fault !== undefined) problems.report(source.notUtf8(source.texts[i]!, fault))
      }
      const isText = problems.list.length === 0
      const result = isText ? untilTooMany(() => parse(source, problems.report, include, ids)) : {}
      loaded = {
        hash,
        includes,
        ...foundBy(problems),
        isCut: result === undefined,
        includedCharacters: source.included.characters,
        ...result,
      }
    }
    this.#errors += loaded.problems.filter(({ severity }) => severity === 'error').length
    this.#files.addIncluded(loaded.includedCharacters)
    this.files.set(key, loaded)
    return { paths, ids, loaded, canBePart }
  }

  /** Reads a file of subnets for a rule; it is parsed again only when its content changes. */
  readonly #prefixes: PrefixReader = (file, fault) => {
    const path = relative(this.#folder, file)
    if (path.startsWith('..') || path.endsWith('.yaml')) {
      const why = path.startsWith('..') ? 'lies outside of the folder of zones' : 'is YAML, and no list of prefixes'
      fault('value-invalid', `${path} ${why}`)
      return undefined
    }
    if (this.files.has(path)) return this.files.get(path)!.prefixes
    const told = join(this.#folder, path)
    const found = this.#files.seek(told)
    if ('code' in found) {
      fault(found.code === 'file-unreadable' ? found.code : 'value-invalid', found.message)
      return undefined
    }
    let loaded = this.#previous.get(path)
    if (loaded?.hash !== found.state) {
      const problems = new ProblemList()
      const source = new Source(told, found.text)
      if (found.fault !== undefined) problems.report(source.notUtf8(source.first, found.fault))
      const prefixes = found.fault === undefined ? readSubnets(source, problems.report) : undefined
      const none = { includes: new Map(), isCut: false, includedCharacters: 0 }
      loaded = { hash: found.state, ...none, ...foundBy(problems), prefixes }
    }
    this.files.set(path, loaded)
    this.#tellFound(loaded)
    return loaded.prefixes
  }

  async #trees(paths: readonly string[], units: LoadUnit[], canBePart = true): Promise<readonly LoadUnit[]> {
    const trees: LoadUnit[] = []
    for (const path of paths) {
      const unit = await this.#unit([path], '', canBePart, (source, report, include, [id]) => {
        const root = parseYaml(source, report, include, source.first, id)
        return root === undefined ? {} : { tree: { source, root } }
      })
      if (unit !== undefined) trees.push(unit)
    }
    for (const unit of trees) units.push(unit)
    return trees
  }

  async #tree(path: string, units: LoadUnit[]): Promise<Tree | undefined> {
    const [unit] = await this.#trees([path], units, false)
    return unit && this.#taken(unit)
  }

  /** Reports the problems of a unit and gives its tree: the unit is used under its own name. */
  #taken({ loaded }: LoadUnit): Tree | undefined {
    this.#tellFound(loaded)
    return loaded.tree && { read: new Reader(loaded.tree.source, this.#report), root: loaded.tree.root }
  }

  #defaults(tree: Tree | undefined): Defaults {
    const { ttl, checks, soa } =
      tree === undefined ? withDefaults(DEFAULTS, {}) : readKeys(tree.read, tree.root, 'defaults.yaml', DEFAULTS).values
    return {
      ttlSeconds: ttl,
      checks: tree && checks ? readNamedChecks(tree.read, checks.value) : new Map(),
      soa: tree && soa ? readSoa(tree.read, soa.value) : withDefaults(SOA, {}),
    }
  }

  #sites(tree: Tree | undefined): ReadonlyMap<string, SiteModel> {
    return tree ? readSites(tree.read, tree.root) : new Map()
  }

  /** All services that are written; of those with faults only the position. */
  #services(
    units: readonly LoadUnit[],
    graph: IncludeGraph,
    context: ServiceContext,
  ): Map<string, ServiceModel | Position> {
    const services = new Map<string, ServiceModel | Position>()
    for (const unit of units) {
      if (graph.isPart(unit)) continue
      const tree = this.#taken(unit)
      if (tree === undefined) continue
      for (const entry of tree.read.entries(tree.root, unit.paths[0]!)) {
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

  async #zoneUnits(
    zones: readonly ZoneSource[],
    { ttlSeconds }: Defaults,
    units: LoadUnit[],
  ): Promise<readonly ZoneUnit[]> {
    const read: ZoneUnit[] = []
    let names = 0
    for (const zone of zones) {
      const { apex, files, folder } = zone
      this.#onProgress?.({ parsed: read.length, files: zones.length, names })
      const unit =
        isFault(apex) || files.length === 0
          ? undefined
          : await this.#unit(files, String(ttlSeconds), folder === undefined, (source, report, include, ids) => ({
              zone: readZone(source, apex, ttlSeconds, report, include, ids),
            }))
      if (unit !== undefined) units.push(unit)
      names += unit?.loaded.zone?.names ?? 0
      read.push({ ...zone, unit })
    }
    return read
  }

  #zones(units: readonly ZoneUnit[], graph: IncludeGraph): readonly ZoneFile[] {
    const zones = new Map<string, ZoneFile>()
    const isPart = ({ folder, unit }: ZoneUnit): boolean =>
      folder === undefined && unit !== undefined && graph.isPart(unit)
    if (units.every(isPart) && this.#isReadable()) {
      const hint = 'A zone is a file named like example.com.yaml'
      this.#tell('zones-missing', this.#folder, 'there is no zone here', hint)
    }
    for (const zone of units) {
      const { apex, files, folder, unit } = zone
      const file = join(this.#folder, folder ?? files[0]!)
      if (isFault(apex)) {
        if (folder !== undefined || !graph.isIncluded(file)) this.#tell('zone-name', file, apex.fault)
        continue
      }
      if (files.length === 0) this.#tell('zones-missing', file, 'this folder of a zone has no .yaml file')
      if (unit === undefined) continue
      if (isPart(zone)) {
        const hint =
          'To have the zone as well, put what both share into a file of another name and include that in both'
        const message = `${formatName(apex)} is no zone, for another file includes this one`
        this.#tell('zone-included', file, message, hint, 'warning')
        continue
      }
      this.#tellFound(unit.loaded)
      const made = unit.loaded.zone
      if (made === undefined) continue
      const other = zones.get(keyOf(apex))
      if (other === undefined) zones.set(keyOf(apex), made)
      else {
        const message = `zone ${formatName(apex)} is also in ${other.at.file}`
        this.#report({ code: 'zone-duplicate', severity: 'error', ...made.at, message })
      }
    }
    return [...zones.values()]
  }

  #tellFound({ problems, hidden }: FileResult): void {
    for (const problem of problems) this.#report(problem)
    this.problems.addHidden('warning', hidden.warning)
    this.problems.addHidden('notice', hidden.notice)
  }

  /** Reports a problem of a file or folder as a whole. */
  #tell(code: ProblemCode, file: string, message: string, hint?: string, severity: Severity = 'error'): void {
    this.#report({ code, severity, file, line: 0, column: 0, message, ...(hint !== undefined && { hint }) })
  }

  /**
   * The SOA serial from git: Unix time of the last commit that touched the folder; 1, with a warning, if git does not
   * know.
   */
  async #gitSerial(): Promise<number> {
    const told = await lastChangeOf(this.#folder)
    if (typeof told === 'number') return told
    const { reason } = told
    const message = `the serial is 1: none is written, and git says: ${reason}`
    const hint = 'Write `serial` under `soa` in defaults.yaml, or keep the folder in git'
    if (this.#isReadable()) this.#tell('serial-unknown', this.#folder, message, hint, 'warning')
    return 1
  }
}

/** Does the work; undefined when it stopped because of too many errors. */
function untilTooMany<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof TooManyErrors) return undefined
    throw error
  }
}

function foundBy(problems: ProblemList): Pick<FileResult, 'problems' | 'hidden'> {
  const hiddenOf = (severity: 'warning' | 'notice'): number =>
    problems.count(severity) - problems.list.filter((problem) => problem.severity === severity).length
  return { problems: problems.list, hidden: { warning: hiddenOf('warning'), notice: hiddenOf('notice') } }
}

/**
 * The sites of sites.yaml, and a site without a location for each pool of a dynamic record that is named like none of
 * them.
 */
function withPools(sites: ReadonlyMap<string, SiteModel>, zones: readonly ZoneFile[]): ReadonlyMap<string, SiteModel> {
  const all = new Map(sites)
  for (const { sites: pools, at } of zones.flatMap(({ dynamics }) => dynamics)) {
    for (const { site: name } of pools) {
      if (all.has(name)) continue
      const place = { latitude: Number.NaN, longitude: Number.NaN, region: '' }
      all.set(name, { name, ...place, capacity: SITE.capacity.missing, declaresCapacity: false, drained: false, at })
    }
  }
  return all
}
