/**
 * The configurations of BIRD: that of a node is the file of docs/anycast.md, with this region's addresses; a router speaks eBGP
 * with the routers of the other regions and with its node. A router that has the choice takes the shortest path, so its own
 * node, and after that the router with the lower identifier.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { address, ANYCAST, cableAt, nodeAs, type Region, REGIONS, routerAs, ROUTER_IDS } from './plan.ts'

const DOCS = readFileSync(resolve(import.meta.dirname, '../../docs/anycast.md'), 'utf8')
const NODE_CONF = /```bird\n([^`]*)```/.exec(DOCS)![1]!

/** How long a router keeps the routes of a neighbour that is gone without a word. */
const HOLD = 'hold time 9; keepalive time 3;'

export function nodeConf(region: Region): string {
  const node = address(region, 'node')
  const router = address(region, 'router')
  return NODE_CONF.replaceAll('198.51.100.21', node.v4)
    .replaceAll('198.51.100.1 ', `${router.v4} `)
    .replaceAll('2001:db8:21::21', node.v6)
    .replaceAll('2001:db8:21::1', router.v6)
    .replaceAll('64521', String(nodeAs(region)))
    .replaceAll('64500', String(routerAs(region)))
    .replaceAll('192.0.2.0/24', ANYCAST.net4)
    .replaceAll('2001:db8:53::/48', ANYCAST.net6)
    .replace('hold time 9;', 'connect delay time 1; connect retry time 2; hold time 9;')
}

export function routerConf(region: Region): string {
  const own = address(region, 'router')
  const others = REGIONS.filter((other) => other !== region)
  const node = address(region, 'node')
  const sessions = others.flatMap((other) =>
    (['v4', 'v6'] as const).map((family) =>
      session(`${other}_${family}`, family, {
        local: `${cableAt(region, other)[family]} as ${routerAs(region)}`,
        neighbor: `${cableAt(other, region)[family]} as ${routerAs(other)}`,
        exports: 'where source ~ [ RTS_DEVICE, RTS_BGP ]',
      }),
    ),
  )
  const nodes = (['v4', 'v6'] as const).map((family) =>
    session(`node_${family}`, family, {
      local: `${own[family]} as ${routerAs(region)}`,
      neighbor: `${node[family]} as ${nodeAs(region)}`,
      exports: 'none',
    }),
  )
  return `router id ${ROUTER_IDS[region]};
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; interface "br0", "to-*"; }
protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel { ipv6 { import none; export where source = RTS_BGP; }; }
${[...sessions, ...nodes].join('\n')}
`
}

interface Session {
  readonly local: string
  readonly neighbor: string
  readonly exports: string
}

const session = (name: string, family: 'v4' | 'v6', { local, neighbor, exports }: Session): string =>
  `protocol bgp ${name} {
  local ${local}; neighbor ${neighbor};
  check link yes; connect delay time 1; connect retry time 2; error wait time 1, 4; ${HOLD}
  ip${family} { import all; export ${exports}; next hop self; };
}`
