/**
 * The folder of YAML files → Model and Problems: the loader of `serve`, `check`, `explain` and `plan`. It never throws
 * for what an operator wrote, and never stops at the first fault. Files are read one after the other. What each file
 * gave is kept under a hash of its content and of what it includes, so a reload parses only what changed.
 *
 *   defaults.yaml ─▶ sites.yaml ─▶ services.yaml, services/*.yaml ─┐
 *                └─▶ NAME.DOMAIN.yaml, NAME.DOMAIN./*.yaml …       ─┼▶ what concerns more than one file ─▶ Model
 *                    (records.ts, each zone apart)      drills.yaml ─┘
 *
 * A file that another one includes is a part of that one, whatever its name (includes.ts).
 */
import { createHash, hash as hashOf } from 'node:crypto'
import { join, relative, sep } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { formatName, isFault, keyOf } from '../dns/name.ts'
import { lastChangeOf } from '../git.ts'
import {
  compareProblems,
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
import { Source } from '../yaml/source.ts'
import { type Include, parseYaml } from '../yaml/tree.ts'
import { checkBudgets } from '../zone/budget.ts'
import { NO_DRILLS } from '../zone/drills.ts'
import type { Model, ServiceModel, SiteModel } from '../zone/model.ts'
import { Defaults, type Tree, type ZoneDefaults } from './defaults.ts'
import { readDrills } from './drills.ts'
import { type FileContent, Files, type ChangedFiles, type SavedFiles } from './files.ts'
import { type FileResult, IncludeGraph, type LoadUnit } from './includes.ts'
import { SITE } from './keys.ts'
import { Lister, type ZoneSource } from './list.ts'
import { readZone, type ZoneFile } from './records.ts'
import { References } from './references.ts'
import { checkNesting, checkSharedVips, steer } from './resolve.ts'
import type { PrefixReader } from './rules.ts'
import { readService, readSites, type ServiceContext } from './services.ts'
import { soaOf } from './soa.ts'
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

/** Files that a load reads, and none on disk; or `changed`: which it reads in place of those on disk. */
export interface SavedZones {
  readonly files?: SavedFiles
  readonly changed?: ChangedFiles
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
  const problems = [...hiddenProblems(loader.problems, folder, isStopped), ...list.toSorted(compareProblems)]
  const whole = model !== undefined && problems.every(({ severity }) => severity !== 'error')
  return { ...(whole && { model }), problems, ...loader.done() }
}

const SUBNETS = 'A file of prefixes in the folder of zones: subnets: {file: offices.txt}'
const ZONE = 'A zone is a file named like example.com.yaml, or a folder named like example.com./'

interface ZoneUnit extends ZoneSource {
  readonly unit: LoadUnit | undefined
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
    this.#files = new Files(folder, saved?.files, saved?.changed)
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
    const { hasDefaults, hasSites, hasDrills } = listing
    const defaults = new Defaults(hasDefaults ? await this.#tree('defaults.yaml', units) : undefined, hasDefaults)
    const sitesTree = hasSites ? await this.#tree('sites.yaml', units) : undefined
    const sites: ReadonlyMap<string, SiteModel> = sitesTree ? readSites(sitesTree.read, sitesTree.root) : new Map()
    const written = await this.#trees(listing.services, units)
    const drillsTree = hasDrills ? await this.#tree('drills.yaml', units) : undefined
    const zoneUnits = await this.#zoneUnits(listing.zones, defaults, units)
    const graph = new IncludeGraph(units, this.#files)
    this.#parts = units.filter((unit) => graph.isPart(unit)).map(({ paths }) => paths.join(' '))
    const references = new References()
    const { checks } = defaults
    defaults.addReferences(sites, references)
    const services = this.#services(written, graph, { sites, checks, prefixes: this.#prefixes, references })
    await lister.reportUnknown(
      listing.unknown,
      (path) => this.files.has(path) || graph.isIncluded(join(this.#folder, path)),
    )
    const zones = this.#zones(zoneUnits, graph)
    defaults.reportUnknownZones(listing.zones.flatMap(({ apex }) => (isFault(apex) ? [] : [apex])))
    this.#serial = defaults.serial ?? this.#saved?.serial ?? (await this.#gitSerial(defaults.isWhole))
    for (const service of zones.flatMap(({ dynamics }) => dynamics)) services.set(service.name, service)
    const drills = drillsTree
      ? readDrills(drillsTree.read, drillsTree.root, { sites, services, references })
      : NO_DRILLS
    const whole = [...services.values()].filter((service) => 'at' in service)
    checkSharedVips(whole, sites, this.#report)
    checkNesting(zones, unreadApexes(zoneUnits), this.#report)
    checkBudgets(zones, whole, this.#report)
    const steered = zones.map((zone) => steer(zone, services, references, this.#report))
    const isListed = this.#isListed()
    references.report(this.#report, {
      site: { places: () => placesOf(sites), isWhole: isListed && (sitesTree?.isWhole ?? !hasSites) },
      check: { places: () => defaults.checksAt, isWhole: isListed && defaults.isWhole },
      service: {
        places: () => placesOf(services),
        isWhole: isListed && written.every((unit) => graph.isPart(unit) || isWhole(unit)),
      },
    })
    return {
      sites: withPools(sites, zones),
      services: whole.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      drills,
      zones: zones.map((zone, i) => {
        const { apex, bytes, services: names, at, files } = zone
        const { soa, ttlSeconds, transfer } = defaults.of(apex)
        return {
          apex,
          sets: steered[i]!,
          bytes,
          services: names,
          at,
          files,
          soa: soaOf(zone, soa, ttlSeconds, this.#serial),
          ...(transfer !== undefined && { transfer }),
        }
      }),
    }
  }

  /** Whether nothing speaks of a file that could not be read, or has a wrong name: what is missing may be in it. */
  #isListed(): boolean {
    return !this.problems.list.some(isUnread)
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
    const contents: (FileContent & { readonly file: string })[] = []
    for (const path of paths) {
      const file = join(this.#folder, path)
      const read = this.#files.read(file)
      if ('why' in read) {
        this.#tell(
          'file-unreadable',
          file,
          read.why,
          'A file that the process may read, or a link to one in the folder',
        )
      } else if (paths.length === 1) contents.push({ file, ...read })
      else {
        const decoded = read.decode()
        contents.push({ file, ...read, decode: () => decoded })
      }
    }
    if (contents.length < Math.max(1, paths.length)) return undefined
    const ids = contents.map(({ id }) => id)
    const key = paths.join('\n')
    const hash = hashOf('sha256', [context, ...contents.map((one) => one.hash)].join('\n'), 'base64')
    let loaded = this.#previous.get(key)
    const isSame =
      loaded?.hash === hash &&
      !loaded.isCut &&
      [...loaded.includes].every(([file, state]) => this.#files.seek(file).state === state)
    if (loaded === undefined || !isSame) {
      // with MOST_PROBLEMS errors already, one is enough to know that this file has errors too
      const problems = new ProblemList(this.#errors < MOST_PROBLEMS ? MOST_PROBLEMS : 1)
      const includes = new Map<string, string>()
      const [first, ...others] = contents.map((content) => ({ file: content.file, ...content.decode() }))
      const source = new Source(first!.file, first!.text)
      for (const { file, text } of others) source.add(file, text)
      const include = this.#files.includer(includes)
      for (const [i, { fault }] of [first!, ...others].entries()) {
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
      fault('value-invalid', `${path} ${why}`, SUBNETS)
      return undefined
    }
    if (this.files.has(path)) return this.files.get(path)!.prefixes
    const told = join(this.#folder, path)
    const found = this.#files.seek(told)
    if ('code' in found) {
      const code = found.code === 'file-unreadable' ? found.code : 'value-invalid'
      fault(code, found.message, found.hint ?? SUBNETS)
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
  #taken(unit: LoadUnit): Tree | undefined {
    const { loaded } = unit
    this.#tellFound(loaded)
    if (loaded.tree === undefined) return undefined
    const { source, root } = loaded.tree
    return { read: new Reader(source, this.#report), root, isWhole: isWhole(unit) }
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
      for (const entry of tree.read.entries(tree.root, unit.paths[0]!, '{web: {sites: {…}, check: …}}')) {
        const other = services.get(entry.key.text)
        const service = readService(tree.read, entry, context)
        if (other === undefined) services.set(entry.key.text, service ?? tree.read.at(entry.key))
        else {
          const { file, line } = 'at' in other ? other.at : other
          const message = `service ${entry.key.text} is also at ${file}:${line}`
          tree.read.fault('service-duplicate', entry.key, message, 'Rename one of the two, or remove it')
        }
      }
    }
    return services
  }

  async #zoneUnits(zones: readonly ZoneSource[], defaults: Defaults, units: LoadUnit[]): Promise<readonly ZoneUnit[]> {
    const read: ZoneUnit[] = []
    let names = 0
    for (const zone of zones) {
      const { apex, files } = zone
      this.#onProgress?.({ parsed: read.length, files: zones.length, names })
      const unit = isFault(apex) || files.length === 0 ? undefined : await this.#zoneUnit(zone, apex, defaults.of(apex))
      if (unit !== undefined) units.push(unit)
      names += unit?.loaded.zone?.names ?? 0
      read.push({ ...zone, unit })
    }
    return read
  }

  #zoneUnit({ files, folder }: ZoneSource, apex: Uint8Array, defaults: ZoneDefaults): Promise<LoadUnit | undefined> {
    const servers = defaults.servers?.map((server) => formatName(server)).join(' ')
    return this.#unit(
      files,
      `${defaults.ttlSeconds} ${servers}`,
      folder === undefined,
      (source, report, include, ids) => ({
        zone: readZone(source, apex, defaults, report, include, ids),
      }),
    )
  }

  #zones(units: readonly ZoneUnit[], graph: IncludeGraph): readonly ZoneFile[] {
    const zones = new Map<string, ZoneFile>()
    const isPart = ({ folder, unit }: ZoneUnit): boolean =>
      folder === undefined && unit !== undefined && graph.isPart(unit)
    const unreadable = new Set(
      this.problems.list.filter(({ code }) => code === 'file-unreadable').map(({ file }) => file),
    )
    if (units.every(isPart) && this.#isListed())
      this.#tell('zones-missing', this.#folder, 'there is no zone here', ZONE)
    for (const zone of units) {
      const { apex, files, folder, unit } = zone
      const file = join(this.#folder, folder ?? files[0]!)
      if (isFault(apex)) {
        if (folder !== undefined || !graph.isIncluded(file)) this.#tell('zone-name', file, apex.fault, ZONE)
        continue
      }
      if (files.length === 0 && !unreadable.has(file))
        this.#tell('zones-missing', file, 'this folder of a zone has no .yaml file', ZONE)
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
        const hint = 'Remove one of the two, or make them one folder: example.com./'
        this.#report({ code: 'zone-duplicate', severity: 'error', ...made.at, message, hint })
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
  #tell(code: ProblemCode, file: string, message: string, hint: string, severity: Severity = 'error'): void {
    this.#report({ code, severity, file, line: 0, column: 0, message, hint })
  }

  /**
   * The SOA serial from git: Unix time of the last commit that touched the folder; 1 if git does not know, with a
   * warning if it is certain that none is written.
   */
  async #gitSerial(isCertain: boolean): Promise<number> {
    const told = await lastChangeOf(this.#folder)
    if (typeof told === 'number') return told
    const { reason } = told
    const message = `the serial is 1: none is written, and git says: ${reason}`
    const hint = 'Write `serial` under `soa` in defaults.yaml, or keep the folder in git'
    if (isCertain && this.#isListed()) this.#tell('serial-unknown', this.#folder, message, hint, 'warning')
    return 1
  }
}

/** A name that a folder, or a file of YAML, may have. */
const MAYBE_YAML = /\.ya?ml$|(?:^|\/)[^/.]*$/

/** Whether a problem is that of a file whose content nobody knows, and which may have been meant to be read. */
const isUnread = ({ code, file }: Problem): boolean =>
  code === 'file-unreadable' || (code === 'file-unknown' && MAYBE_YAML.test(file))

/** Where each is written, by name. */
const placesOf = (named: ReadonlyMap<string, { readonly at: Position } | Position>): ReadonlyMap<string, Position> =>
  new Map([...named].map(([name, one]) => [name, 'at' in one ? one.at : one]))

/** Whether all that is written in a file is in its tree, by name. */
const isWhole = ({ loaded: { tree } }: LoadUnit): boolean =>
  tree !== undefined && tree.root.kind === 'mapping' && !tree.source.isIncomplete

/** The keys of the apexes of zones whose files could not be read. */
const unreadApexes = (units: readonly ZoneUnit[]): ReadonlySet<string> =>
  new Set(units.flatMap(({ apex, unit }) => (isFault(apex) || unit?.loaded.zone !== undefined ? [] : keyOf(apex))))

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
