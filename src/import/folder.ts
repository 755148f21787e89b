/**
 * The folder of zones that an import makes: its files as text, and what Meridian's own loader says of them before they are
 * written. Filled by the readers of all formats.
 */
import { hash } from 'node:crypto'
import { loadFolder } from '../load/load.ts'
import type { Problem } from '../problem.ts'
import type { Notes } from './notes.ts'
import { type Comments, writeYaml, type YamlMapping, type YamlValue } from './yaml.ts'
import type { ZoneDraft, ZoneYaml } from './zone.ts'

/** A key of a file, and lines above it. */
interface Entry {
  readonly value: YamlMapping
  readonly comments: readonly string[]
}

/** Sites, services, checks and zones by name. */
export class FolderDraft {
  readonly #sites = new Map<string, Entry>()
  readonly #services = new Map<string, Entry>()
  readonly #checks = new Map<string, Entry>()
  readonly #zones: ZoneDraft[] = []
  #hasNowhere = false
  readonly #heading: readonly string[]

  /** `heading`: comment lines above each file. */
  constructor(heading: readonly string[]) {
    this.#heading = heading
  }

  /** Declares a site; once it is there, nothing changes. Without a place it stands at 0, 0, which no listed order looks at. */
  site(name: string, place: readonly [latitude: number, longitude: number] | undefined): void {
    if (this.#sites.has(name)) return
    this.#sites.set(name, { value: { location: place ?? [0, 0] }, comments: [] })
    if (place === undefined) this.#hasNowhere = true
  }

  service(name: string, value: YamlMapping, comments: readonly string[] = []): void {
    this.#services.set(name, { value, comments })
  }

  hasService(name: string): boolean {
    return this.#services.has(name)
  }

  check(name: string, value: YamlMapping, comments: readonly string[] = []): void {
    this.#checks.set(name, { value, comments })
  }

  zone(zone: ZoneDraft): void {
    this.#zones.push(zone)
  }

  /** The files by their path below the folder, sorted. */
  files(notes: Notes): ReadonlyMap<string, string> {
    const apexes = this.#zones.map(({ apex }) => apex)
    const zones = this.#zones.map((zone) => zone.finish(apexes)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    const files = new Map<string, string>([
      ['defaults.yaml', this.#defaults(zones, notes)],
      ...(this.#sites.size > 0
        ? [['sites.yaml', this.#named(this.#sites, this.#hasNowhere ? NOWHERE : [])] as const]
        : []),
      ...(this.#services.size > 0 ? [['services.yaml', this.#named(this.#services)] as const] : []),
      ...zones.map(({ name, names }) => [fileOf(name), writeYaml(names, new Map([['', this.#heading]]))] as const),
    ])
    return new Map([...files].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  #defaults(zones: readonly ZoneYaml[], notes: Notes): string {
    const settings = settingsOf(zones, notes)
    const checks = this.#checks.size === 0 ? undefined : valuesOf(this.#checks)
    return writeYaml({ ...settings, checks }, this.#comments([], this.#checks, '\nchecks'))
  }

  #named(entries: ReadonlyMap<string, Entry>, heading: readonly string[] = []): string {
    return writeYaml(valuesOf(entries), this.#comments(heading, entries, ''))
  }

  /** The comments above a file and above its entries, which are below `path`. */
  #comments(heading: readonly string[], entries: ReadonlyMap<string, Entry>, path: string): Comments {
    const comments = new Map<string, readonly string[]>([['', [...this.#heading, ...heading]]])
    for (const [key, entry] of entries) if (entry.comments.length > 0) comments.set(`${path}\n${key}`, entry.comments)
    return comments
  }
}

const valuesOf = (entries: ReadonlyMap<string, Entry>): ReadonlyMap<string, YamlValue> =>
  new Map([...entries].map(([key, { value }]) => [key, value]))

const NOWHERE = ['The place of sites at [0, 0] is not known: write it before a service orders its sites by distance.']

/** A serial from here on is above the Unix time that Meridian's are for years to come. */
const LATE_SERIAL = 1_800_000_000

/** `soa` and `ttl` of all zones, or of each where they differ. */
function settingsOf(zones: readonly ZoneYaml[], notes: Notes): { readonly [key: string]: YamlValue | undefined } {
  for (const { name, serial, at } of zones) {
    if (serial < LATE_SERIAL) continue
    const why = `its serials are times of commits, and ${serial} is above them: secondaries of ${name} would keep what they have`
    notes.warn(
      at,
      `the serial is not taken over: ${why}; let them transfer anew, or write \`soa: {serial: …}\` in defaults.yaml`,
    )
  }
  const all = zones.map(({ soa, ttlSeconds }) => ({ soa, ttl: ttlSeconds }))
  const [first] = all
  if (first === undefined) return {}
  if (all.every((one) => JSON.stringify(one) === JSON.stringify(first))) return first
  return { zones: new Map(zones.map(({ name, soa, ttlSeconds }) => [name.slice(0, -1), { soa, ttl: ttlSeconds }])) }
}

/** The file of a zone: one of a single label is in a folder. */
function fileOf(zone: string): string {
  const name = zone.slice(0, -1).replaceAll('/', '\\047')
  return /(?:[^\\]|^)\./.test(name) ? `${name}.yaml` : `${name}./zone.yaml`
}

/** What Meridian's loader says of files that are in no folder yet. `folder`: how messages name it. */
export async function problemsOf(files: ReadonlyMap<string, string>, folder: string): Promise<readonly Problem[]> {
  const saved = new Map([...files].map(([path, text]) => [path, { text, hash: hash('sha256', text), id: path }]))
  const { problems } = await loadFolder(folder, undefined, undefined, { files: saved, serial: 1 })
  return problems
}
