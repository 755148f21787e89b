/**
 * The records of a cluster in the folder of zones: what external-dns asks for is checked by Meridian's own loader, the whole
 * folder with the new files, before it is written. Called by the webhook (api/external-dns.ts).
 *
 * The endpoints themselves are in `.external-dns/CLUSTER.json`, which the loader does not see; the YAML is made of them, and
 * made again at a start. Files of other clusters, and what is written by hand, are never touched.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { formatName, isWithin } from '../dns/name.ts'
import { loadFolder, type LoadResult } from '../load/load.ts'
import type { ChangedFiles } from '../load/files.ts'
import { formatProblem, messageOf, type Problem } from '../problem.ts'
import { attempt, readState, readWhole, removeLeftovers, replaceFiles } from '../state.ts'
import { type Changes, type Endpoint, keyOfEndpoint, readEndpoints, unlabelled, wireOf } from './endpoint.ts'
import { type ClusterFiles, filesOf, type Ground, isFileOf } from './files.ts'

/** Where the provider is, and whose records it has. */
export interface ProviderOptions {
  /** The folder of zones. */
  readonly folder: string
  readonly cluster: string
  /** Zones, or names in them, that the cluster may have records at; [] = all zones of the folder. */
  readonly domains: readonly string[]
  readonly onWarn: (message: string) => void
}

/** Changes that cannot be made: nothing has been written. */
export class RefusedError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('; '))
    this.problems = problems
  }
}

/** What has happened so far, for /metrics. */
export interface ProviderCounts {
  readonly endpoints: number
  readonly changes: number
  readonly refused: number
  readonly leftOut: number
}

const KIND = { what: 'records of external-dns', format: 'meridian-external-dns-1' }
const HIDDEN = '.external-dns'
/** The most problems that are told. */
const MOST_TOLD = 20
/** How often endpoints are left out, and the rest tried again: a load tells no more than 1,000 errors. */
const MOST_ROUNDS = 200

/** The records of one cluster. */
export class Provider {
  readonly #options: ProviderOptions
  readonly #hidden: string
  #endpoints: ReadonlyMap<string, Endpoint> = new Map()
  /** The last loads, of which unchanged files are not parsed again. */
  #base: LoadResult | undefined
  #whole: LoadResult | undefined
  #last: Promise<unknown> = Promise.resolve()
  /** Endpoints that were left out when external-dns asked last, and why. */
  #leftOut: ReadonlyMap<string, string> = new Map()
  readonly #counts = { changes: 0, refused: 0, leftOut: 0 }

  private constructor(options: ProviderOptions) {
    this.#options = options
    this.#hidden = join(options.folder, HIDDEN)
  }

  /** Reads the records of the cluster, and writes its files as they follow from them. Throws if they cannot be read. */
  static async open(options: ProviderOptions): Promise<Provider> {
    const provider = new Provider(options)
    await mkdir(provider.#hidden, { recursive: true })
    removeLeftovers(provider.#hidden)
    provider.#read()
    await provider
      .#serially(() => provider.#restore())
      .catch((error: unknown) => {
        options.onWarn(`the files of cluster ${options.cluster} stay as they are: ${messageOf(error)}`)
      })
    return provider
  }

  get #file(): string {
    return join(this.#hidden, `${this.#options.cluster}.json`)
  }

  get counts(): ProviderCounts {
    return { endpoints: this.#endpoints.size, ...this.#counts }
  }

  /**
   * Writes the files as they follow from the endpoints. Where only the endpoints are lost, the files stay: external-dns puts
   * all of them again.
   */
  async #restore(): Promise<void> {
    const [path] = existsSync(this.#file) ? [] : await this.#ownFiles()
    if (path !== undefined) throw new Error(`${path} is there, but ${this.#file} is not`)
    await this.#write(this.#endpoints)
  }

  /** Reads the endpoints from disk, where a process before or beside this one, or git, may have put others. */
  #read(): void {
    const { state, trouble } = readState(this.#file, KIND)
    const endpoints = state === undefined ? [] : readEndpoints(state['endpoints'])
    if (trouble !== undefined || endpoints === undefined)
      throw new Error(trouble ?? `${this.#file} has no list of endpoints; remove it, and external-dns makes it anew`)
    this.#endpoints = byKey(endpoints)
  }

  /** All records, as they were put, without labels, which external-dns keeps in TXT records. */
  records(): Promise<readonly Endpoint[]> {
    return this.#serially(async () => [...this.#endpoints.values()])
  }

  /** The names that external-dns may ask for: zones of the folder. */
  domains(): Promise<readonly string[]> {
    const { domains } = this.#options
    return this.#serially(async () => {
      if (domains.length > 0) return domains
      const { apexes } = await this.#ground()
      return apexes.map((apex) => formatName(apex).slice(0, -1))
    })
  }

  /**
   * The endpoints that can be served of those that are wanted. In place of one that cannot is what is served now, if anything
   * is, so that one that is wrong holds up no other, and takes nothing away.
   */
  adjust(wanted: readonly Endpoint[]): Promise<readonly Endpoint[]> {
    return this.#serially(async () => {
      const ground = await this.#ground()
      const leftOut = new Map<string, string>()
      const left = new Map(wanted.map((endpoint) => [keyOfEndpoint(endpoint), endpoint]))
      for (let round = 0; round < MOST_ROUNDS && left.size > 0; round++) {
        const made = this.#made(new Map([...this.#endpoints, ...left]), ground)
        const wrong = new Map(made.faults.map(({ endpoint, why }) => [keyOfEndpoint(endpoint), why]))
        if (wrong.size === 0) for (const [key, why] of await this.#wrongByLoad(made, left)) wrong.set(key, why)
        const found = [...wrong].filter(([key]) => left.has(key))
        if (found.length === 0) break
        for (const [key, why] of found) {
          left.delete(key)
          leftOut.set(key, why)
          this.#counts.leftOut++
          if (this.#leftOut.get(key) === why) continue // external-dns asks again each minute
          const kept = this.#endpoints.has(key) ? 'stays as it is' : 'is left out'
          this.#options.onWarn(`${key.trim()} ${kept}: ${why}`)
        }
      }
      this.#leftOut = leftOut
      return wanted.flatMap((endpoint) => {
        const key = keyOfEndpoint(endpoint)
        const served = this.#endpoints.get(key)
        const { labels } = endpoint
        return left.get(key) ?? (served === undefined ? [] : { ...served, ...(labels !== undefined && { labels }) })
      })
    })
  }

  /** Makes changes, all or none. Throws RefusedError; or what the file system says, and then nothing has changed. */
  apply(changes: Changes): Promise<void> {
    return this.#serially(async () => {
      const next = new Map(this.#endpoints)
      for (const gone of [...changes.delete, ...changes.updateOld]) next.delete(keyOfEndpoint(gone))
      for (const endpoint of [...changes.create, ...changes.updateNew])
        next.set(keyOfEndpoint(endpoint), unlabelled(endpoint))
      try {
        await this.#write(sortedByKey(next))
      } catch (error) {
        this.#counts.refused++
        throw error
      }
      this.#counts.changes++
    })
  }

  /** Runs one at a time: each starts from what the one before has written. */
  #serially<T>(act: () => Promise<T>): Promise<T> {
    const run = (): Promise<T> => {
      this.#read()
      return act()
    }
    const result = this.#last.then(run)
    this.#last = result.catch(() => {})
    return result
  }

  #made(endpoints: ReadonlyMap<string, Endpoint>, ground: Ground): ClusterFiles {
    const { cluster, domains } = this.#options
    const all = [...endpoints.values()]
    const may = ({ dnsName }: Endpoint): boolean =>
      domains.length === 0 || domains.some((domain) => isAtOrBelow(dnsName, domain))
    const made = filesOf(cluster, all.filter(may), ground)
    const why = 'the name is in none of the domains of this provider (--domain)'
    const strange = all.filter((endpoint) => !may(endpoint)).map((endpoint) => ({ endpoint, why }))
    return { ...made, faults: [...made.faults, ...strange] }
  }

  /** What others have written: the folder without the cluster's files. */
  async #ground(): Promise<Ground> {
    const own = await this.#ownFiles()
    const loaded = await loadFolder(this.#options.folder, this.#base, undefined, {
      changed: new Map(own.map((path) => [path, undefined])),
      serial: 1,
    })
    this.#base = loaded
    const { model } = loaded
    if (model === undefined) throw new RefusedError(told(loaded.problems))
    return {
      apexes: model.zones.map(({ apex }) => apex),
      sites: new Map([...model.sites].filter(([, { latitude }]) => !Number.isNaN(latitude))),
    }
  }

  /** The paths of the cluster's files below the folder. */
  async #ownFiles(): Promise<readonly string[]> {
    const { folder, cluster } = this.#options
    const entries = await readdir(folder, { withFileTypes: true })
    const folders = entries.filter(
      (entry) => entry.isDirectory() && (entry.name === 'services' || (entry.name.endsWith('.') && entry.name !== '.')),
    )
    const lists = folders.map(async ({ name }) =>
      (await readdir(join(folder, name))).map((file) => `${name}/${file}`).filter((path) => isFileOf(path, cluster)),
    )
    return (await Promise.all(lists)).flat()
  }

  /** Loads the folder with these files in place of the cluster's. */
  async #load({ files }: ClusterFiles, own: readonly string[]): Promise<LoadResult> {
    const changed: ChangedFiles = new Map([
      ...own.map((path) => [path, undefined] as const),
      ...[...files].map(([path, text]) => [path, { text, hash: hashOf(text), id: path }] as const),
    ])
    this.#whole = await loadFolder(this.#options.folder, this.#whole, undefined, { changed, serial: 1 })
    return this.#whole
  }

  /** Writes the cluster's files and its endpoints, if the folder is whole with them. */
  async #write(endpoints: ReadonlyMap<string, Endpoint>): Promise<void> {
    const { folder } = this.#options
    const made = this.#made(endpoints, await this.#ground())
    if (made.faults.length > 0)
      throw new RefusedError(made.faults.map(({ endpoint, why }) => `${keyOfEndpoint(endpoint).trim()}: ${why}`))
    const own = await this.#ownFiles()
    const { model, problems } = await this.#load(made, own)
    if (model === undefined) throw new RefusedError(told(problems))
    const text = textOf(endpoints)
    const all = new Map([
      ...[...made.files].map(([path, yaml]) => [join(folder, path), yaml] as const),
      [this.#file, text],
    ])
    const differing = [...all].filter(([path, content]) => attempt(() => readWhole(path)) !== content)
    const writes = differing.map(([path, content]) => [path, (file: Writable) => file.writeFile(content)] as const)
    await replaceFiles(new Map(writes), { mode: 0o644, asideIn: this.#hidden })
    for (const path of own) if (!made.files.has(path)) await rm(join(folder, path), { force: true })
    this.#endpoints = endpoints
  }

  /** Endpoints that are new or changed, and that the loader's errors are about, by their names; and what it says. */
  async #wrongByLoad(made: ClusterFiles, wanted: ReadonlyMap<string, Endpoint>): Promise<ReadonlyMap<string, string>> {
    const { model, problems } = await this.#load(made, await this.#ownFiles())
    if (model !== undefined) return new Map()
    const changed = new Map<string, string[]>()
    for (const [key, endpoint] of wanted) {
      if (JSON.stringify(unlabelled(endpoint)) === JSON.stringify(this.#endpoints.get(key))) continue
      const name = wholeName(endpoint.dnsName)
      changed.set(name, [...(changed.get(name) ?? []), key])
    }
    const lines = new Map<string, readonly string[]>()
    const wrong = new Map<string, string>()
    for (const problem of problems.filter(({ severity }) => severity === 'error'))
      for (const name of this.#namesOf(problem, made, lines))
        for (const key of changed.get(name) ?? []) wrong.set(key, formatProblem(problem))
    return wrong
  }

  /** The whole names that a problem is about. `linesOf`: those of files that have been asked for. */
  #namesOf(
    { file, line }: Problem,
    { files, steered }: ClusterFiles,
    linesOf: Map<string, readonly string[]>,
  ): readonly string[] {
    const path = file.startsWith(this.#options.folder) ? file.slice(this.#options.folder.length + 1) : file
    const lines = linesOf.get(path) ?? (files.get(path) ?? attempt(() => readWhole(file)) ?? '').split('\n')
    linesOf.set(path, lines)
    let at = Math.min(line, lines.length) - 1
    while (at >= 0 && !/^[^\s#]/.test(lines[at]!)) at--
    const found = lines[at]
    if (found === undefined) return []
    const name = keyOfLine(found)
    if (path.startsWith('services')) return (steered.get(name) ?? []).map(wholeName)
    const zone = path.replace(/\.\/[^/]*$|\.yaml$/, '')
    return [wholeName(`${name === '' ? '' : `${name}.`}${zone}`)]
  }
}

interface Writable {
  writeFile(content: string): Promise<void>
}

/** The key that a line of YAML begins with. */
function keyOfLine(line: string): string {
  const [key = ''] = line.split(/:(?: |$)/, 1)
  return key.length > 1 && (key[0] === "'" || key[0] === '"') ? key.slice(1, -1) : key
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64')
const byKey = (endpoints: readonly Endpoint[]): ReadonlyMap<string, Endpoint> =>
  sortedByKey(new Map(endpoints.map((endpoint) => [keyOfEndpoint(endpoint), endpoint])))
const sortedByKey = (endpoints: ReadonlyMap<string, Endpoint>): ReadonlyMap<string, Endpoint> =>
  new Map([...endpoints].toSorted(([a], [b]) => (a < b ? -1 : 1)))

/** An endpoint a line, so that a version control shows which has changed. */
const textOf = (endpoints: ReadonlyMap<string, Endpoint>): string =>
  `{"format": "${KIND.format}", "endpoints": [\n${[...endpoints.values()].map((one) => JSON.stringify(one)).join(',\n')}\n]}\n`

const told = (problems: readonly Problem[]): readonly string[] => {
  const errors = problems.filter(({ severity }) => severity === 'error').map(formatProblem)
  return errors.length <= MOST_TOLD
    ? errors
    : [...errors.slice(0, MOST_TOLD), `${errors.length - MOST_TOLD} more errors`]
}

/** A whole name in the one form that equal ones have, however they are escaped. */
function wholeName(name: string): string {
  const wire = wireOf(name)
  return wire === undefined ? name.toLowerCase() : formatName(wire)
}

function isAtOrBelow(name: string, domain: string): boolean {
  const [wire, above] = [wireOf(name), wireOf(domain)]
  return wire !== undefined && above !== undefined && isWithin(wire, above)
}
