/**
 * gdnsd's configuration folder → a folder of zones: `config` (gdnsd.config(5)) and `zones/` (gdnsd.zonefile(5)). Names with
 * DYNA or DYNC are steered by a service for their resource; its datacenters and addresses are sites.
 *
 *   config ─▶ vscf ─▶ resources, maps, checks ──┐
 *   zones/* ─▶ master files; DYNA, DYNC ────────┴─▶ services ─▶ draft
 */
import { join } from 'node:path'
import { formatAddress, parseAddress } from '../../dns/address.ts'
import { encodeField } from '../../dns/fields.ts'
import { isFault, lowerName, parseName } from '../../dns/name.ts'
import { TYPE } from '../../dns/types.ts'
import { type Into, importMaster } from '../bind.ts'
import { Input } from '../input.ts'
import { type Dialect, type MasterRecord, unquoted } from '../master.ts'
import type { Place } from '../notes.ts'
import { NameTable, type OrderPlan, type RulePlan, type ServicePlan, ServiceTable, type SitePlan } from '../steering.ts'
import type { ZoneDraft } from '../zone.ts'
import { Checks, textIn } from './checks.ts'
import { type GeoMap, readMap } from './maps.ts'
import { type Datacenter, isTrue, labelled, type Pool, Resources } from './resources.ts'
import { find, readVscf, textsOf, type VscfHash } from './vscf.ts'

/** Imports the folder that `config` is in, or one without. */
export function importGdnsd(path: string, into: Into): void {
  const { input, notes } = into
  const file = input.isFolder ? join(path, 'config') : path
  const hasConfig = !input.isFolder || input.list(path).includes('config')
  const root = hasConfig ? readVscf(file, input, notes) : undefined
  const config: VscfHash = root?.kind === 'hash' ? root : { kind: 'hash', entries: new Map(), file, line: 0 }
  for (const [key, entry] of config.entries) {
    if (!['options', 'service_types', 'plugins'].includes(key))
      notes.error(entry, `there is no “${key}” in gdnsd's configuration`)
  }
  new GdnsdReader(config, into).zones(join(input.folder, 'zones'))
}

/** A hash of the configuration; an empty one if it is not there. */
function hashIn(config: VscfHash, key: string): VscfHash {
  const value = find(config, key)
  return value?.kind === 'hash' ? value : { ...config, entries: new Map() }
}

class GdnsdReader {
  readonly #into: Into
  readonly #dialect: Dialect
  readonly #resources: Resources
  readonly #services = new ServiceTable()
  readonly #sites = new NameTable()
  readonly #maps = new Map<string, GeoMap | undefined>()

  constructor(config: VscfHash, into: Into) {
    this.#into = into
    const { draft, notes } = into
    const options = hashIn(config, 'options')
    const number = (key: string, missing: number): number => Number(textIn(options, key) ?? missing)
    this.#dialect = {
      types: new Set(['DYNA', 'DYNC']),
      marks: true,
      keepsTtl: false,
      ttlSeconds: number('zones_default_ttl', 86_400),
      ttlBounds: [number('min_ttl', 5), number('max_ttl', 3_600_000)],
      mostNegative: number('max_ncache_ttl', 10_800),
    }
    const ecs = options.entries.get('edns_client_subnet')
    if (textIn(options, 'edns_client_subnet')?.toLowerCase() === 'false') {
      notes.warn(ecs!, "edns_client_subnet is a setting of Meridian's node, not of its zones")
    }
    const types = find(config, 'service_types')
    const checks = new Checks(types?.kind === 'hash' ? types : undefined, draft, notes)
    this.#resources = new Resources(hashIn(config, 'plugins'), checks, notes)
  }

  zones(folder: string): void {
    const { input, notes, draft } = this.#into
    const names = input.list(folder)
    if (names.length === 0) notes.error({ file: folder, line: 0 }, 'there are no zones')
    for (const name of names) {
      const file = join(folder, name)
      const apex = parseName(`${name.replaceAll('@', '/').replace(/\.$/, '')}.`)
      if (isFault(apex)) notes.error({ file, line: 0 }, apex.fault)
      else importMaster(file, lowerName(apex), this.#dialect, this.#into, (zone, record) => this.#steer(zone, record))
    }
    this.#services.finish(draft, notes)
  }

  /** Takes a record of type DYNA or DYNC. */
  #steer(zone: ZoneDraft, record: MasterRecord): void {
    const { owner, ttlSeconds, minSeconds, words } = record
    const [, plugin = '', resource = ''] = /^([^!]*)(?:!(.*))?$/.exec(unquoted(words[0] ?? '')) ?? []
    const most = Math.max(1, ttlSeconds)
    const least = Math.max(1, Math.min(most, minSeconds ?? Math.max(this.#dialect.ttlBounds[0], Math.floor(most / 2))))
    if (words.length !== 1 || plugin === '') {
      return this.#into.notes.error(record, `${String(record.type)} takes PLUGIN!RESOURCE`)
    }
    if (plugin === 'reflect') {
      return this.#into.notes.warn(
        record,
        `left out: ${words[0]} answers with the client's address; Meridian has no such thing`,
      )
    }
    if (plugin === 'static' || plugin === 'null') return this.#static(zone, record, plugin, resource, most)
    const steer = (service: string, cap: number | undefined): void =>
      zone.steer(owner, { service, ...(cap !== undefined && { ttlSeconds: cap }), at: record })
    const [name = '', center] = resource.split('/', 2)
    const key = `${plugin}!${resource}`
    const plan = (): ServicePlan | undefined => {
      const made = this.#plan(plugin, name, center, record)
      return made && { ...made, comments: [key] }
    }
    this.#services.use(key, center === undefined ? name : `${name}-${center}`, plan, { ttl: { most, least }, steer })
  }

  /** What never changes is a record like any other. */
  #static(zone: ZoneDraft, record: MasterRecord, plugin: string, resource: string, ttlSeconds: number): void {
    const config = this.#resources.plugin('static')
    const texts = plugin === 'null' ? ['0.0.0.0', '::'] : [(config && textIn(config, resource)) ?? '']
    for (const text of texts) {
      const bytes = parseAddress(text)
      const type = bytes === undefined ? TYPE.CNAME : bytes.length === 4 ? TYPE.A : TYPE.AAAA
      const wire = bytes ?? encodeField('name', text)
      if (isFault(wire)) this.#into.notes.error(record, `there is no resource ${plugin}!${resource}`)
      else
        zone.add(
          record.owner,
          type,
          ttlSeconds,
          { value: bytes === undefined ? text : formatAddress(bytes), wire },
          record,
        )
    }
  }

  #plan(plugin: string, name: string, center: string | undefined, at: Place): ServicePlan | undefined {
    if (plugin === 'geoip') return this.#geoip(name, center, at)
    if (plugin === 'metafo' && (center !== undefined || this.#wrapsGeoip(name))) return this.#metafo(name, center, at)
    const answers = this.#resources.resolve(plugin, name, at)
    return answers && this.#listed(plugin === 'metafo' ? answers.groups : labelled(name, answers), answers.at)
  }

  /** Whether a resource of metafo has one of geoip as its first datacenter. */
  #wrapsGeoip(name: string): boolean {
    return this.#geoipIn(name) !== undefined
  }

  /** The geoip resource that a metafo resource falls back from, and the name that it falls back to. */
  #geoipIn(name: string): { readonly resource: string; readonly backup: string | undefined } | undefined {
    const resources = this.#resources.plugin('metafo') && find(this.#resources.plugin('metafo')!, 'resources')
    const hash = resources?.kind === 'hash' ? find(resources, name) : undefined
    if (hash?.kind !== 'hash') return undefined
    const [first, second, ...more] = textsOf(find(hash, 'datacenters') ?? hash) ?? []
    const map = find(hash, 'dcmap')
    if (map?.kind !== 'hash' || first === undefined || more.length > 0) return undefined
    const geoip = /^%geoip!(.*)$/.exec(textIn(map, first) ?? '')?.[1]
    const backup = second === undefined ? undefined : textIn(map, second)
    const isName = backup === undefined || (backup.endsWith('.') && parseAddress(backup) === undefined)
    return geoip === undefined || !isName ? undefined : { resource: geoip, backup }
  }

  #metafo(name: string, center: string | undefined, at: Place): ServicePlan | undefined {
    const wrapped = this.#geoipIn(name)
    if (wrapped !== undefined && center === undefined) {
      const plan = this.#geoip(wrapped.resource, undefined, at)
      return plan && { ...plan, ...(wrapped.backup !== undefined && { lastResort: { name: wrapped.backup } }) }
    }
    const found = this.#resources.metaResource('metafo', name, at)
    const [one] = (found && this.#resources.datacenters('metafo', found.hash, found.inherited, [center!])) ?? []
    return one && this.#listed(labelled(one.name, one.answers), at)
  }

  #map(name: string, at: Place): GeoMap | undefined {
    if (this.#maps.has(name)) return this.#maps.get(name)
    const { input, notes } = this.#into
    const maps = find(this.#resources.plugin('geoip')!, 'maps')
    const map = maps?.kind === 'hash' ? find(maps, name) : undefined
    if (map?.kind !== 'hash') notes.error(at, `there is no map “${name}”`)
    // files of the plugin are below geoip/, unless they are named in full
    const include = (file: string, from: Place) =>
      readVscf(Input.beside(file, join(input.folder, 'geoip', 'config')), input, notes, from)
    const made = map?.kind === 'hash' ? readMap(name, map, notes, include) : undefined
    this.#maps.set(name, made)
    return made
  }

  #geoip(name: string, center: string | undefined, at: Place): ServicePlan | undefined {
    const { notes } = this.#into
    const found = this.#resources.metaResource('geoip', name, at)
    const map = found && this.#map(textIn(found.hash, 'map') ?? '', found.hash)
    if (found === undefined || map === undefined) return undefined
    const dcmap = find(found.hash, 'dcmap')
    const isLoose = isTrue(textIn(this.#resources.plugin('geoip')!, 'undefined_datacenters_ok'))
    const there = map.datacenters.filter((dc) => !isLoose || (dcmap?.kind === 'hash' && find(dcmap, dc) !== undefined))
    const wanted =
      center === undefined ? [...new Set([...map.unplaced, ...there])].filter((dc) => there.includes(dc)) : [center]
    const all = this.#resources.datacenters('geoip', found.hash, found.inherited, wanted)
    if (all === undefined || all.length === 0) return undefined
    if (center !== undefined) return this.#listed(labelled(center, all[0]!.answers), at, map)
    const skips = isTrue(textIn(found.hash, 'skip_first'))
    if (skips && map.usual === 'auto')
      notes.warn(found.hash, `geoip!${name}: skip_first is left out: nearest begins with the nearest`)
    const lists = [map.unplaced, ...map.rules.map(({ list }) => list)].map((list) =>
      skips && list.length > 1 ? list.slice(1) : list,
    )
    const { kept, backup } = this.#backup(name, all, lists, found.hash)
    const groups = new Map(kept.map((dc) => [dc.name, labelled(dc.name, dc.answers)]))
    const pools = [...groups.values()].flat(2)
    if (pools.length === 0) return undefined
    const named = this.#named(pools, map)
    const order = (list: readonly string[]): OrderPlan =>
      list.flatMap((dc) => (groups.get(dc) ?? []).map((group) => group.map((pool) => named.get(pool)!)))
    const [unplaced = [], ...others] = lists
    const rules = map.rules.flatMap(({ subnets, geos, at: place }, i): readonly RulePlan[] => {
      const own = order(others[i]!)
      if (own.length === 0) notes.warn(place, `geoip!${name}: left out: nothing is left of this list`)
      return own.length === 0 ? [] : [{ subnets, geos, order: own, at: place }]
    })
    const isNearest = map.usual === 'auto'
    if (isNearest) this.#checkNearest(name, kept, map, found.hash)
    const sites = this.#sitesOf(pools, named, map)
    const isPart = !isNearest && unplaced.length < there.length
    const everywhere: RulePlan = {
      geos: ['AF', 'AN', 'AS', 'EU', 'NA', 'OC', 'SA'],
      order: order(unplaced),
      at: map.at,
    }
    const covered = new Set(rules.flatMap(({ geos = [] }) => geos))
    const left = everywhere.geos!.filter((geo) => !covered.has(geo))
    return {
      ...this.#common([...groups.values()].flat(), found.hash),
      sites,
      order: isNearest ? 'nearest' : order(unplaced),
      ...(isNearest && { candidates: Math.min(255, map.limit === 0 ? sites.length : map.limit) }),
      rules: isPart && left.length > 0 ? [...rules, { ...everywhere, geos: left }] : rules,
      ...(backup !== undefined && { lastResort: { name: backup } }),
    }
  }

  /** Names among addresses: behind all others they are the last resort; elsewhere they are left out. */
  #backup(
    name: string,
    all: readonly Datacenter[],
    lists: readonly (readonly string[])[],
    at: Place,
  ): { kept: readonly Datacenter[]; backup: string | undefined } {
    const { notes } = this.#into
    const names = all.filter(isNamed)
    if (names.length === 0 || names.length === all.length) return { kept: all, backup: undefined }
    const [one, other] = names
    const target = one!.answers.groups[0]![0]!.vips[0]!
    const isLast = lists.every((list) => list.indexOf(one!.name) === list.length - 1 || !list.includes(one!.name))
    const isFirst = lists.some((list) => list.length === 1 && list[0] === one!.name)
    const isBackup = other === undefined && isLast && !isFirst
    if (!isBackup)
      notes.warn(
        at,
        `geoip!${name}: ${names.map((dc) => dc.name).join(', ')} left out: a service has names or addresses, and a name among addresses is a last resort`,
      )
    else if (lists.some((list) => !list.includes(one!.name))) {
      notes.warn(
        at,
        `geoip!${name}: ${target} is the last resort of all clients, also of those whose list does not end with ${one!.name}`,
      )
    }
    return { kept: all.filter((dc) => !isNamed(dc)), backup: isBackup ? target : undefined }
  }

  #checkNearest(name: string, datacenters: readonly Datacenter[], map: GeoMap, at: Place): void {
    const { notes } = this.#into
    for (const { name: dc, answers } of datacenters) {
      if (answers.groups.flat().length > 1)
        notes.warn(
          answers.at,
          `geoip!${name}: the pools of ${dc} are sites at one place: which comes first is not by weight`,
        )
      if (!map.coordinates.has(dc))
        notes.warn(map.at, `geoip!${name}: ${dc} has no coordinates, and stands at 0, 0 with weight 0: write its place`)
    }
    if (map.limit > 0 && map.limit < map.coordinates.size) {
      notes.warn(
        at,
        `geoip!${name}: auto_dc_limit ${map.limit}: with the ${map.limit} nearest dead, Meridian goes on to the next ones, not back to the first`,
      )
    }
  }

  /** A service with listed groups. */
  #listed(groups: readonly (readonly Pool[])[], at: Place, map?: GeoMap): ServicePlan | undefined {
    const last = groups.at(-1)
    const addresses = groups.flat().filter((pool) => !pool.isName)
    const isBackup = addresses.length > 0 && last?.length === 1 && last[0]!.isName
    const kept = isBackup ? groups.slice(0, -1) : groups
    const names = kept.flat().filter((pool) => pool.isName)
    const isMixed = addresses.length > 0 && names.length > 0
    if (isMixed)
      this.#into.notes.warn(
        at,
        `${names.map(({ vips }) => vips[0]).join(', ')} left out: a service has names or addresses, and a name is its last resort when it comes last`,
      )
    const used = isMixed
      ? kept.map((group) => group.filter((pool) => !pool.isName)).filter((group) => group.length > 0)
      : kept
    const pools = used.flat()
    if (pools.length === 0) return undefined
    const named = this.#named(pools, map)
    return {
      ...this.#common(used, at),
      sites: this.#sitesOf(pools, named, map),
      order: used.map((group) => group.map((pool) => named.get(pool)!)),
      rules: [],
      ...(isBackup && { lastResort: { name: last[0]!.vips[0]! } }),
    }
  }

  /** What all services have. */
  #common(
    groups: readonly (readonly Pool[])[],
    at: Place,
  ): Pick<ServicePlan, 'isRandom' | 'checks' | 'comments' | 'at' | 'minVips'> {
    const { notes } = this.#into
    const pools = groups.flat()
    const watched = pools.filter(({ monitoring }) => !monitoring.isDown)
    const checks = watched[0]?.monitoring.checks ?? []
    const other = watched.find(({ monitoring }) => monitoring.checks.join(' ') !== checks.join(' '))
    const all = [...new Set(watched.flatMap(({ monitoring }) => monitoring.checks))]
    if (other !== undefined) {
      notes.warn(
        other.at,
        `all sites of this service are checked alike, by ${all.join(', ')}: Meridian has no checks for each site`,
      )
    }
    const least = Math.min(...pools.map((pool) => pool.least))
    if (pools.some((pool) => pool.least !== least)) {
      const when = least === 1 ? 'when none of its addresses is up' : `when fewer than ${least} of its addresses are up`
      notes.warn(at, `up_thresh: a site is passed over ${when}: Meridian has one minVips for all sites of a service`)
    }
    return {
      isRandom: groups.some((group) => group.length > 1),
      checks: all.map((use) => ({ use })),
      comments: [],
      at,
      minVips: least,
    }
  }

  /** The site of each pool. One datacenter of several maps with other coordinates is several sites. */
  #named(pools: readonly Pool[], map: GeoMap | undefined): ReadonlyMap<Pool, string> {
    return new Map(
      pools.map((pool) => [
        pool,
        this.#sites.of(pool.label, `${pool.label} ${this.#coordinates(pool, map)?.join(' ') ?? ''}`),
      ]),
    )
  }

  /** Where the datacenter of a pool is: as its own map has it, or as another one. */
  #coordinates(pool: Pool, map: GeoMap | undefined): readonly [number, number] | undefined {
    const maps = [map, ...this.#mapNames().map((name) => this.#map(name, pool.at))]
    return maps.map((one) => one && coordinatesIn(one, pool)).find((place) => place !== undefined)
  }

  #mapNames(): readonly string[] {
    const geoip = this.#resources.plugin('geoip')
    const maps = geoip && find(geoip, 'maps')
    return maps?.kind === 'hash' ? [...maps.entries.keys()] : []
  }

  #sitesOf(pools: readonly Pool[], named: ReadonlyMap<Pool, string>, map: GeoMap | undefined): readonly SitePlan[] {
    return pools.map((pool) => {
      const name = named.get(pool)!
      const place = this.#coordinates(pool, map)
      this.#into.draft.site(name, place)
      const isNowhere = map?.usual === 'auto' && coordinatesIn(map, pool) === undefined
      return { name, vips: pool.vips, weight: isNowhere ? 0 : pool.weight, isDown: pool.monitoring.isDown, at: pool.at }
    })
  }
}

/** Whether a datacenter answers with a name. */
const isNamed = ({ answers }: Datacenter): boolean => answers.groups.flat().every((pool) => pool.isName)

function coordinatesIn({ coordinates }: GeoMap, { label }: Pool): readonly [number, number] | undefined {
  const exact = coordinates.get(label)
  return exact ?? [...coordinates].find(([dc]) => label.startsWith(`${dc}-`))?.[1]
}
