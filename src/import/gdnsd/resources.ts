/**
 * gdnsd's resources → what they answer: groups of pools, tried in their order. The plugins static, multifo, simplefo,
 * weighted and metafo; those of geoip look at where clients are, too (gdnsd.ts). A pool becomes a site of a service.
 *
 *   multifo    one pool with all addresses             simplefo   [primary] [secondary]
 *   weighted   one group, a pool for each item         metafo     the groups of its datacenters, one behind the other
 */
import { parseAddress } from '../../dns/address.ts'
import type { Notes, Place } from '../notes.ts'
import { type Checks, type Monitoring, textIn, UNWATCHED } from './checks.ts'
import { find, textsOf, type Vscf, type VscfHash } from './vscf.ts'

/** Addresses, or one name, that are answered together. */
export interface Pool {
  /** Below its resource or datacenter; '' if that has no other. */
  readonly label: string
  readonly vips: readonly string[]
  readonly isName: boolean
  readonly weight: number
  readonly monitoring: Monitoring
  /** How many of its addresses must be up. */
  readonly least: number
  readonly at: Place
}

/** What a resource answers. The pools of a group share its clients by weight. */
export interface Answers {
  readonly groups: readonly (readonly Pool[])[]
  readonly at: Place
}

/** What a datacenter of metafo or geoip answers. */
export interface Datacenter {
  readonly name: string
  readonly answers: Answers
}

/** Keys that are no resources, and are inherited by them. */
const PARAMETERS: ReadonlySet<string> = new Set(['service_types', 'up_thresh', 'ignore_health', 'multi'])

/** The parameters that hold at some level. */
type Inherited = ReadonlyMap<string, Vscf>

const MOST_DEPTH = 16

/** Resolves resources by their plugins. */
export class Resources {
  readonly plugins: VscfHash
  readonly #checks: Checks
  readonly #notes: Notes

  constructor(plugins: VscfHash, checks: Checks, notes: Notes) {
    this.plugins = plugins
    this.#checks = checks
    this.#notes = notes
  }

  /** A plugin's configuration; undefined if it has none. */
  plugin(name: string): VscfHash | undefined {
    const value = find(this.plugins, name)
    return value?.kind === 'hash' ? value : undefined
  }

  /** A resource of a plugin that does not look at clients; undefined if it cannot be taken over, which is reported. */
  resolve(plugin: string, name: string, at: Place, depth = 0): Answers | undefined {
    if (depth > MOST_DEPTH) return this.#refuse(at, `${plugin}!${name} refers to itself`)
    const config = this.plugin(plugin)
    if (plugin === 'metafo') {
      const all = this.metaResource('metafo', name, at)
      const centers = all && this.#metafo(all.hash, all.inherited, name, depth)
      return centers && { groups: centers.flatMap(({ name: center, answers }) => labelled(center, answers)), at }
    }
    const value = config && find(config, name)
    if (value === undefined) return this.#absent(at, `there is no resource ${plugin}!${name}`)
    return this.#ofPlugin(plugin, value, parametersOf(config!, new Map()), `${plugin}!${name}`)
  }

  /** The configuration of a resource of metafo or geoip, and what it inherits. */
  metaResource(
    plugin: 'metafo' | 'geoip',
    name: string,
    at: Place,
  ): { hash: VscfHash; inherited: Inherited } | undefined {
    const config = this.plugin(plugin)
    const resources = config && find(config, 'resources')
    const value = resources?.kind === 'hash' ? find(resources, name) : undefined
    if (config === undefined || value?.kind !== 'hash')
      return this.#absent(at, `there is no resource ${plugin}!${name}`)
    return { hash: value, inherited: without(new Map([...texts(config), ...texts(value)])) }
  }

  #metafo(hash: VscfHash, inherited: Inherited, name: string, depth: number): readonly Datacenter[] | undefined {
    const list = find(hash, 'datacenters')
    const names = list && textsOf(list)
    if (names === undefined || names.length === 0) return this.#absent(hash, `metafo!${name} has no datacenters`)
    const used = isTrue(textIn(hash, 'skip_first')) && names.length > 1 ? names.slice(1) : names
    return this.datacenters('metafo', hash, inherited, used, depth)
  }

  /** What the datacenters of a `dcmap` answer; those that cannot be taken over are left out, which is reported. */
  datacenters(
    plugin: 'metafo' | 'geoip',
    hash: VscfHash,
    inherited: Inherited,
    names: readonly string[],
    depth = 0,
  ): readonly Datacenter[] | undefined {
    const map = find(hash, 'dcmap')
    if (map?.kind !== 'hash') return this.#absent(hash, `a resource of ${plugin} has no dcmap`)
    return names.flatMap((name): readonly Datacenter[] => {
      const value = find(map, name)
      const answers = value === undefined ? undefined : this.#datacenter(value, inherited, name, depth)
      if (value === undefined) this.#notes.error(map, `dcmap has no datacenter “${name}”`)
      return answers === undefined ? [] : [{ name, answers }]
    })
  }

  #datacenter(value: Vscf, inherited: Inherited, name: string, depth: number): Answers | undefined {
    const own = inherited.get('plugin')
    const usual = own?.kind === 'text' ? own.text : 'multifo'
    if (value.kind === 'hash') {
      const plugin = textIn(value, 'plugin') ?? usual
      return this.#ofPlugin(plugin, value, inherited, name)
    }
    const all = textsOf(value)
    if (all === undefined || all.length === 0)
      return this.#absent(value, `datacenter ${name} is neither addresses nor a name`)
    const [text] = all
    if (value.kind === 'text' && (text!.startsWith('%') || text!.startsWith('!'))) {
      const [plugin = '', resource = ''] = text!.replace(/^%/, '').split('!', 2)
      if (plugin === 'geoip')
        return this.#refuse(value, `${text} is not taken over: a geoip resource within another one`)
      return this.resolve(plugin === '' ? usual : plugin, resource, value, depth + 1)
    }
    return this.#ofPlugin('multifo', value, inherited, name)
  }

  #ofPlugin(plugin: string, value: Vscf, inherited: Inherited, name: string): Answers | undefined {
    if (plugin === 'multifo' || plugin === 'static') {
      const target = value.kind === 'text' ? value.text : ''
      if (target.endsWith('.') && parseAddress(target) === undefined) {
        const pool = { label: '', vips: [target], isName: true, weight: 1, monitoring: UNWATCHED, least: 1, at: value }
        return { groups: [[pool]], at: value }
      }
      return this.#families(value, inherited, (part, parameters) => {
        const vips =
          part.kind === 'hash'
            ? [...part.entries].flatMap(([key, { value: one }]) => (isParameter(key) ? [] : (textsOf(one) ?? [])))
            : (textsOf(part) ?? [])
        return [[{ label: '', vips, weight: 1, parameters, at: part }]]
      })
    }
    if (plugin === 'simplefo') {
      return this.#families(value, inherited, (part, parameters) =>
        ['primary', 'secondary'].map((label) => {
          const address = part.kind === 'hash' ? textIn(part, label) : undefined
          return [{ label, vips: address === undefined ? [] : [address], weight: 1, parameters, at: part }]
        }),
      )
    }
    if (plugin === 'weighted')
      return this.#families(value, inherited, (part, parameters) => this.#weighted(part, parameters, name))
    return this.#refuse(value, `${name} is not taken over: plugin ${plugin} has no counterpart in Meridian`)
  }

  /** The items of a weighted resource, or of one family of it, as one group. */
  #weighted(part: Vscf, parameters: Inherited, name: string): readonly (readonly Part[])[] {
    const isMulti = isTrue(textOf(parameters.get('multi')))
    if (part.kind !== 'hash') return []
    const items = [...part.entries].filter(([key]) => !isParameter(key))
    const pools = items.flatMap(([label, { value, file, line, column }]): readonly Part[] => {
      const at = { file, line, column }
      if (value.kind === 'hash') {
        const inner = [...value.entries.values()].flatMap((one) => weightOf(one.value) ?? [])
        const weights = inner.filter((one) => typeof one === 'number')
        const vips = inner.filter((one) => typeof one === 'string')
        if (new Set(weights).size > 1 && !isMulti) {
          this.#notes.warn(
            at,
            `${name}: an answer has all addresses of ${label}: Meridian has no weights within a site`,
          )
        }
        return [{ label, vips, weight: weights.reduce((sum, one) => sum + one, 0), parameters, at }]
      }
      const one = weightOf(value)
      if (one === undefined) this.#notes.error(at, `${name}: “${label}” is not [ADDRESS, WEIGHT]`)
      return one === undefined ? [] : [{ label, vips: [one[0]], weight: one[1], parameters, at }]
    })
    if (!isMulti) return [pools]
    const isGrouped = items.some(([, { value }]) => value.kind === 'hash')
    if (isGrouped || new Set(pools.map(({ weight }) => weight)).size > 1) {
      const what = isGrouped ? 'one address of each group' : 'addresses by chance, each by its weight'
      this.#notes.warn(
        part,
        `${name}: an answer has all addresses, and not ${what}: Meridian chooses one site for an answer`,
      )
    }
    return [[{ label: '', vips: pools.flatMap(({ vips }) => vips), weight: 1, parameters, at: part }]]
  }

  /** A resource whose two families may be apart (`addrs_v4`, `addrs_v6`): pools of the same label are one. */
  #families(
    value: Vscf,
    inherited: Inherited,
    read: (part: Vscf, parameters: Inherited) => readonly (readonly Part[])[],
  ): Answers | undefined {
    const own = value.kind === 'hash' ? parametersOf(value, inherited) : inherited
    const apart = value.kind === 'hash' ? ['addrs_v4', 'addrs_v6'].flatMap((key) => find(value, key) ?? []) : []
    const parts =
      apart.length === 0
        ? [read(value, own)]
        : apart.map((part) => read(part, part.kind === 'hash' ? parametersOf(part, own) : own))
    const groups = new Map<number, Map<string, Part[]>>()
    for (const [family, part] of parts.entries()) {
      for (const [number, pools] of part.entries()) {
        const group = groups.get(number) ?? new Map<string, Part[]>()
        groups.set(number, group)
        for (const pool of pools) {
          // of weighted resources each family has weights of its own, so pools of the same label are two
          const key = pools.length > 1 && parts.length > 1 ? `${pool.label}-v${family === 0 ? 4 : 6}` : pool.label
          group.set(key, [...(group.get(key) ?? []), { ...pool, label: key }])
        }
      }
    }
    const made = [...groups.values()].map((group) => [...group.values()].flatMap((same) => this.#pool(same) ?? []))
    const filled = made.filter((group) => group.length > 0)
    return filled.length === 0 ? this.#refuse(value, 'this resource has no addresses') : { groups: filled, at: value }
  }

  #pool(parts: readonly Part[]): Pool | undefined {
    const [first] = parts
    const watched = parts.filter(({ vips }) => vips.length > 0)
    if (first === undefined || watched.length === 0) return undefined
    const vips = watched.flatMap((part) => part.vips)
    const isName = vips.some((vip) => parseAddress(vip) === undefined)
    const wrong = vips.find((vip) => parseAddress(vip) === undefined && !vip.endsWith('.'))
    if (wrong !== undefined)
      return this.#refuse(first.at, `“${wrong}” is neither an address nor a name with its last dot`)
    const monitored = watched.map(({ parameters, at }) => this.#monitoring(parameters, at))
    const [monitoring = UNWATCHED, other] = monitored
    if (other !== undefined && JSON.stringify(other) !== JSON.stringify(monitoring)) {
      this.#notes.warn(
        first.at,
        'both families are monitored alike, by the service types of IPv4: Meridian checks a service as one',
      )
    }
    const ignores = watched.some(({ parameters }) => isTrue(textOf(parameters.get('ignore_health'))))
    if (ignores) this.#notes.warn(first.at, 'ignore_health is left out: Meridian names addresses that are up')
    const least = watched.reduce((sum, { vips: own, parameters }) => {
      const threshold = Number(textOf(parameters.get('up_thresh')) ?? 0.5)
      return sum + Math.max(1, Math.ceil(threshold * own.length - 1e-9))
    }, 0)
    return { label: first.label, vips, isName, weight: first.weight, monitoring, least, at: first.at }
  }

  #monitoring(parameters: Inherited, at: Place): Monitoring {
    const types = parameters.get('service_types')
    return types === undefined ? UNWATCHED : this.#checks.of(textsOf(types) ?? [], types ?? at)
  }

  /** What gdnsd itself would refuse. */
  #absent(at: Place, message: string): undefined {
    this.#notes.error(at, message)
    return undefined
  }

  #refuse(at: Place, message: string): undefined {
    this.#notes.warn(at, message)
    return undefined
  }
}

/** A pool before its families are joined. */
interface Part {
  readonly label: string
  readonly vips: readonly string[]
  readonly weight: number
  readonly parameters: Inherited
  readonly at: Place
}

/** `[ADDRESS, WEIGHT]`. */
function weightOf(value: Vscf): readonly [string, number] | undefined {
  const [text, weight] = (value.kind === 'list' ? textsOf(value) : undefined) ?? []
  return text !== undefined && /^[1-9]\d{0,6}$/.test(weight ?? '') ? [text, Number(weight)] : undefined
}

/** The groups of a datacenter, with its name before the labels of its pools. */
export const labelled = (center: string, { groups }: Answers): readonly (readonly Pool[])[] =>
  groups.map((group) =>
    group.map((pool) => ({ ...pool, label: pool.label === '' ? center : `${center}-${pool.label}` })),
  )

const isParameter = (key: string): boolean =>
  PARAMETERS.has(key) || key === 'plugin' || key === 'addrs_v4' || key === 'addrs_v6'

const texts = (hash: VscfHash): readonly (readonly [string, Vscf])[] =>
  [...hash.entries].map(([key, { value }]) => [key, value] as const)

/** What datacenters inherit of their resource: all but its own keys. */
const without = (inherited: ReadonlyMap<string, Vscf>): Inherited =>
  new Map(
    [...inherited].filter(
      ([key]) =>
        !['maps', 'resources', 'map', 'dcmap', 'datacenters', 'skip_first', 'undefined_datacenters_ok'].includes(key),
    ),
  )

/** The parameters of a hash, and those that it inherits. */
const parametersOf = (hash: VscfHash, inherited: Inherited): Inherited =>
  new Map([...inherited, ...texts(hash).filter(([key]) => PARAMETERS.has(key))])

const textOf = (value: Vscf | undefined): string | undefined => (value?.kind === 'text' ? value.text : undefined)
export const isTrue = (text: string | undefined): boolean => text?.toLowerCase() === 'true'
