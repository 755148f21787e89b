/**
 * The lab on paper: who is there, at which addresses. Three regions, each with a network for hosts and one for clients behind a
 * router; the routers are joined in a ring. Only the clients' networks are in the GeoIP database, so that whoever is sent to the
 * nearest site was told to the node by his resolver (ECS), or asked it himself.
 */
export const REGIONS = ['eu', 'us', 'ap'] as const
export type Region = (typeof REGIONS)[number]

/** The site of each region. */
export const SITE_OF = { eu: 'fra', us: 'iad', ap: 'sin' } as const
export type Site = (typeof SITE_OF)[Region]
export const SITES: readonly Site[] = REGIONS.map((region) => SITE_OF[region])

/** An address of each family. */
export interface Both {
  readonly v4: string
  readonly v6: string
}

const number = (region: Region): number => REGIONS.indexOf(region) + 1

/** Of a host in the region's network. */
export const hostAt = (region: Region, n: number): Both => ({
  v4: `198.18.${number(region)}.${n}`,
  v6: `2001:db8:${number(region)}::${n}`,
})

/** Of a client in the region's other network. */
export const clientAt = (region: Region, n: number): Both => ({
  v4: `198.18.${100 + number(region)}.${n}`,
  v6: `2001:db8:${100 + number(region)}::${n}`,
})

/** What is announced from every region, and the address in it that clients ask. */
export const ANYCAST = {
  v4: '192.0.2.53',
  v6: '2001:db8:53::53',
  net4: '192.0.2.0/24',
  net6: '2001:db8:53::/48',
} as const

export const ZONE = 'gslb.example'

/** Numbers of hosts in a region's network. */
const ROUTER = 1
const AT = { vip: 10, lb1: 11, lb2: 12, resolver: 35, node: 53, prober: 60 } as const
export type Role = keyof typeof AT

export const address = (region: Region, role: Role | 'router'): Both =>
  hostAt(region, role === 'router' ? ROUTER : AT[role])

/** Hosts that there is one of. */
export const REDIS = { region: 'eu', ...hostAt('eu', 63) } as const
export const GIT = { region: 'eu', ...hostAt('eu', 94) } as const
export const PARENT = { region: 'us', ...hostAt('us', 2) } as const
export const REDIS_PORT = 6379
export const GIT_PORT = 9418

/** A host is a namespace; with its region and addresses. */
export interface Host {
  readonly name: string
  readonly region: Region
  readonly addresses: Both
  readonly router: Both
}

/** All hosts but the routers. A site's one load balancer has its VIP; in ap there are two, and the VIP floats. */
export const HOSTS: readonly Host[] = [
  ...REGIONS.flatMap((region): Host[] => {
    const router = address(region, 'router')
    const of = (role: Role): Host => ({ name: `${region}-${role}`, region, addresses: address(region, role), router })
    const lbs = region === 'ap' ? [of('lb1'), of('lb2')] : [{ ...of('vip'), name: `${region}-lb1` }]
    const client = {
      name: `${region}-client`,
      region,
      addresses: clientAt(region, 10),
      router: clientAt(region, ROUTER),
    }
    return [of('node'), of('prober'), of('resolver'), ...lbs, client]
  }),
  ...Object.entries({ redis: REDIS, git: GIT, parent: PARENT }).map(([name, { region, v4, v6 }]) => ({
    name,
    region,
    addresses: { v4, v6 },
    router: address(region, 'router'),
  })),
]

/** Cables between routers: each is an interface at both, named after the other. */
export const CABLES = [
  ['eu', 'us'],
  ['us', 'ap'],
  ['ap', 'eu'],
] as const satisfies readonly (readonly [Region, Region])[]

/** The addresses of a cable at `region`. */
export function cableAt(region: Region, other: Region): Both {
  const [low, high] = [number(region), number(other)].toSorted((a, b) => a - b)
  const end = number(region) === low ? 1 : 2
  return { v4: `198.19.${low}${high}.${end}`, v6: `2001:db8:f${low}${high}::${end}` }
}

/** Numbers of autonomous systems. */
export const routerAs = (region: Region): number => 64_500 + number(region)
export const nodeAs = (region: Region): number => 65_000 + number(region)

export const ROUTER_IDS: Readonly<Record<Region, string>> = { eu: '198.18.1.1', us: '198.18.2.1', ap: '198.18.3.1' }
