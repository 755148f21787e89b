/**
 * Services of all formats: what other servers call pools, datacenters or record sets, as sites of a Meridian service; and the
 * names of what is made, which are all different and fit into Meridian's.
 */
import { parseAddress } from '../dns/address.ts'
import type { FolderDraft } from './folder.ts'
import type { Notes, Place } from './notes.ts'
import type { YamlMapping, YamlValue } from './yaml.ts'

/** A site of a service. */
export interface SitePlan {
  readonly name: string
  /** Addresses, or one name with its last dot. */
  readonly vips: readonly string[]
  readonly weight: number
  readonly isDown: boolean
  readonly bias?: number
  /** What is probed in place of its only VIP. */
  readonly checkAddress?: string
  readonly at: Place
}

/** Sites in their order; an inner list is a group. */
export type OrderPlan = readonly (readonly string[])[]

export interface RulePlan {
  readonly subnets?: readonly string[]
  readonly asns?: readonly string[]
  readonly geos?: readonly string[]
  readonly order: OrderPlan
  readonly at: Place
}

export interface ServicePlan {
  /** In the order of clients without a place. */
  readonly sites: readonly SitePlan[]
  readonly order: 'nearest' | OrderPlan
  readonly candidates?: number
  readonly rules: readonly RulePlan[]
  /** Sites of a group are drawn for each answer, not kept for a client. */
  readonly isRandom: boolean
  readonly lastResort?: YamlValue
  readonly answers?: number
  readonly minVips?: number
  readonly checks: readonly YamlValue[]
  readonly comments: readonly string[]
  readonly at: Place
}

/** The most addresses of an answer of Meridian's. */
const MOST_ANSWERS = 8
/** The most that a weight of Meridian's is. */
const MOST_WEIGHT = 1000

/** A service's YAML. A site that has lost its VIPs to others of the service is left out, with its places in orders. */
export function serviceOf(plan: ServicePlan, ttl: YamlValue, notes: Notes): YamlMapping {
  const orders = [...(plan.order === 'nearest' ? [] : [plan.order]), ...plan.rules.map(({ order }) => order)]
  const sharing = new Set(orders.flatMap((order) => order.filter((group) => group.length > 1)).flat())
  // a weight divides the clients of a group
  const weighed = plan.sites.map((site) =>
    sharing.has(site.name) || site.weight === 0 ? site : { ...site, weight: 100 },
  )
  const sites = scaled(apart(weighed, notes), plan, notes)
  for (const { vips, at } of sites) {
    for (const family of [4, 16]) {
      const count = vips.filter((vip) => parseAddress(vip)?.length === family).length
      if (count > (plan.answers ?? MOST_ANSWERS) && plan.answers === undefined) {
        notes.warn(
          at,
          `an answer has ${MOST_ANSWERS} of these ${count} addresses, by turns: that is the most of Meridian`,
        )
      }
    }
  }
  const names = new Set(sites.map(({ name }) => name))
  const kept = (order: OrderPlan): OrderPlan =>
    order.map((group) => group.filter((site) => names.has(site))).filter((group) => group.length > 0)
  const inYaml = (order: OrderPlan): YamlValue => kept(order).map((group) => (group.length === 1 ? group[0]! : group))
  const types = (wanted: ReadonlySet<string>): string => typesOf(sites.filter(({ name }) => wanted.has(name)))
  const rules = plan.rules.flatMap(({ subnets, asns, geos, order, at }): readonly YamlMapping[] => {
    const own = new Set(kept(order).flat())
    if (own.size === 0) return []
    const isFence = own.size < names.size
    const fits = types(own) === types(names)
    if (isFence && !fits)
      notes.warn(
        at,
        `the sites ${[...own].join(', ')} lack a family that others have: clients get that from the others, not NODATA`,
      )
    return [
      {
        ...(subnets !== undefined && subnets.length > 0 && { subnets }),
        ...(asns !== undefined && asns.length > 0 && { asns }),
        ...(geos !== undefined && geos.length > 0 && { geos }),
        order: inYaml(order),
        ...(isFence && fits && { only: true }),
      },
    ]
  })
  return {
    sites: new Map(sites.map((site) => [site.name, siteOf(site)])),
    ...(plan.order === 'nearest' ? {} : { order: inYaml(plan.order) }),
    ...(plan.order === 'nearest' && plan.candidates !== undefined && { candidates: plan.candidates }),
    ...(rules.length > 0 && { rules }),
    ...(plan.isRandom && { pick: 'random' }),
    ...(plan.answers !== undefined && { answers: plan.answers }),
    ...(plan.minVips !== undefined && plan.minVips > 1 && { minVips: plan.minVips }),
    ttl,
    ...(plan.lastResort !== undefined && { lastResort: plan.lastResort }),
    check: plan.checks.length === 0 ? 'none' : plan.checks.length === 1 ? plan.checks[0]! : plan.checks,
  }
}

const siteOf = ({ vips, weight, isDown, bias = 0, checkAddress }: SitePlan): YamlMapping => ({
  vips: vips.map((vip) => {
    if (vip.endsWith('.')) return { name: vip }
    const isElsewhere = checkAddress !== undefined && vips.length === 1 && checkAddress !== vip
    return isElsewhere ? { address: vip, check: { address: checkAddress } } : vip
  }),
  ...(weight !== 100 && { weight }),
  ...(bias !== 0 && { bias }),
  ...(isDown && { drained: true }),
})

/** Which families sites have addresses of, or names. */
const typesOf = (sites: readonly SitePlan[]): string =>
  [...new Set(sites.flatMap(({ vips }) => vips.map((vip) => parseAddress(vip)?.length ?? 0)))]
    .toSorted((a, b) => a - b)
    .join(' ')

/** Each VIP at one site: at the first that has it. */
function apart(sites: readonly SitePlan[], notes: Notes): readonly SitePlan[] {
  const seen = new Map<string, string>()
  return sites.flatMap((site) => {
    const vips = site.vips.filter((vip) => {
      const key = parseAddress(vip)?.join('.') ?? vip.toLowerCase()
      const other = seen.get(key)
      if (other === undefined) seen.set(key, site.name)
      else if (other !== site.name)
        notes.warn(site.at, `${vip} stays at ${other} alone: a VIP is at one site of a service`)
      return other === undefined
    })
    return vips.length === 0 ? [] : [{ ...site, vips }]
  })
}

/** Weights within Meridian's bounds, and 100 where all are equal. */
function scaled(sites: readonly SitePlan[], { at }: ServicePlan, notes: Notes): readonly SitePlan[] {
  const most = Math.max(...sites.map(({ weight }) => weight))
  if (sites.every(({ weight }) => weight === most) && most > 0) return sites.map((site) => ({ ...site, weight: 100 }))
  if (most <= MOST_WEIGHT) return sites
  const scale = (weight: number): number => (weight === 0 ? 0 : Math.max(1, Math.round((weight * MOST_WEIGHT) / most)))
  const isExact = sites.every(({ weight }) => scale(weight) * most === weight * MOST_WEIGHT)
  if (!isExact) notes.warn(at, `weights are rounded: ${most} is ${MOST_WEIGHT}, the most of Meridian's`)
  return sites.map((site) => ({ ...site, weight: scale(site.weight) }))
}

/** Names of one kind, each as near to what is wanted as Meridian's names allow, and no two alike. */
export class NameTable {
  readonly #taken = new Map<string, string>()

  get size(): number {
    return this.#taken.size
  }

  /** The name for `wanted` of an owner; the same owner gets the same again. */
  of(wanted: string, owner = wanted): string {
    const plain =
      wanted
        .replaceAll(/[^A-Za-z0-9_.-]/g, '-')
        .replace(/^[^A-Za-z0-9]/, 'x')
        .slice(0, 56) || 'x'
    for (let number = 1; ; number++) {
      const name = number === 1 ? plain : `${plain}-${number}`
      const other = this.#taken.get(name)
      if (other === undefined) this.#taken.set(name, owner)
      if (other === undefined || other === owner) return name
    }
  }
}

/** How long answers may be kept: `most` while all is calm, else `least`. */
export interface TtlPlan {
  readonly most: number
  readonly least: number
}

/** A name that is steered, and its TTLs. */
interface Use {
  readonly ttl: TtlPlan
  readonly steer: (service: string, capSeconds: number | undefined) => void
}

/**
 * Services with the names that use them. TTLs are a service's in Meridian, and a name may only lower them: names of one
 * service whose TTLs cannot be had so get a service of their own.
 */
export class ServiceTable {
  readonly #services = new Map<string, { readonly plan: ServicePlan; readonly name: string; readonly uses: Use[] }>()
  readonly #names = new NameTable()

  /** Adds a name that is steered. `key`: of the service; `plan`: makes it, when it is first used. */
  use(key: string, name: string, plan: () => ServicePlan | undefined, use: Use): void {
    let service = this.#services.get(key)
    if (service === undefined) {
      const made = plan()
      if (made === undefined) return
      this.#services.set(key, (service = { plan: made, name, uses: [] }))
    }
    service.uses.push(use)
  }

  /** Puts all services into the draft, and steers the names. */
  finish(draft: Pick<FolderDraft, 'service'>, notes: Notes): void {
    for (const { plan, name, uses } of this.#services.values()) {
      const made: { readonly ttl: TtlPlan; readonly name: string }[] = []
      for (const { ttl, steer } of uses.toSorted((a, b) => b.ttl.most - a.ttl.most || b.ttl.least - a.ttl.least)) {
        let service = made.find((one) => Math.min(one.ttl.least, ttl.most) === ttl.least && one.ttl.most >= ttl.most)
        if (service === undefined) {
          const own = this.#names.of(
            made.length === 0 ? name : `${name}-ttl-${ttl.most}-${ttl.least}`,
            `${name} ${made.length} ${this.#names.size}`,
          )
          made.push((service = { ttl, name: own }))
          const { most, least } = ttl
          draft.service(own, serviceOf(plan, most === least ? most : { max: most, min: least }, notes), plan.comments)
        }
        steer(service.name, service.ttl.most > ttl.most ? ttl.most : undefined)
      }
    }
  }
}
