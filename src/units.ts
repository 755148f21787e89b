/**
 * Durations, distances, sizes, shares and endpoints: texts as operators write and read them ⇄ values. The names of
 * values carry their unit. Used by settings, zones and messages.
 */
import { isIP } from 'node:net'

/** A day, in milliseconds. */
export const DAY_MS = 86_400_000

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS }

/** `5s`, `250ms`, `1m`, `1h30m`, `2d` → milliseconds; undefined when it is none. */
export function parseDurationMs(text: string): number | undefined {
  let total = 0
  let rest = text
  if (rest === '') return undefined
  while (rest !== '') {
    const part = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)/.exec(rest)
    if (part === null) return undefined
    total += Number(part[1]) * DURATION_MS[part[2]!]!
    rest = rest.slice(part[0].length)
  }
  return Math.round(total)
}

/** Milliseconds → the shortest of the forms above that says it exactly. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = DURATION_MS[unit]!
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`
  }
  return `${ms}ms`
}

/** `11.1 s`, of what takes seconds: detection, a budget. */
export const formatSeconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`

/** Whole numbers as ranges: `200-299, 304`. In their order, each once. */
export function formatRanges(numbers: readonly number[]): string {
  const ranges: [least: number, most: number][] = []
  for (const number of [...new Set(numbers)].toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === number - 1) last[1] = number
    else ranges.push([number, number])
  }
  return ranges
    .map(([least, most]) =>
      least === most ? `${least}` : most === least + 1 ? `${least}, ${most}` : `${least}-${most}`,
    )
    .join(', ')
}

/** How long ago, or from now: `4 s`, `3 min`, `5 h`, `2 d`. */
export function formatAge(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

/** `300km` → kilometres; undefined when it is none. */
export function parseDistanceKm(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*km$/.exec(text)
  return match === null ? undefined : Number(match[1])
}

const BYTES: Readonly<Record<string, number>> = { kB: 1e3, MB: 1e6, GB: 1e9 }

/** `32MB`, `512 kB`, `1.5GB` → bytes; undefined when it is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,3})?) ?(kB|MB|GB)$/.exec(text)
  return match === null ? undefined : Math.round(Number(match[1]) * BYTES[match[2]!]!)
}

/** `5%`, `0.5 %` → 0.05, 0.005; undefined when it is none, or above 100 %. */
export function parsePercent(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*%$/.exec(text)
  const share = match === null ? undefined : Number(match[1]) / 100
  return share === undefined || share > 1 ? undefined : share
}

/** A share of 1 as text: `3.2 %`, small shares with two digits, tiny ones as `<0.001 %`. */
export function formatPercent(share: number): string {
  if (share === 0) return '0 %'
  const of100 = 100 * share
  if (of100 < 0.001) return '<0.001 %'
  if (of100 > 99.95) return share === 1 || of100 > 99.9995 ? '100 %' : `${of100.toFixed(3)} %`
  return `${of100 >= 9.95 ? of100.toFixed(1) : Number(of100.toPrecision(2))} %`
}

/** Whole percent, of capacity: `37 %`. */
export const formatWholePercent = (percent: number): string => `${Math.round(percent)} %`

/** The share of its clients that a member takes, 0–1000, as text: `12.5 %`. */
export const formatShare = (share: number): string => `${share / 10} %`

/** A number with separators: `12,345`. */
export const grouped = (number: number): string => Math.round(number).toLocaleString('en-US')

/** The first `most` of `total` texts, and how many more there are: `fra, par and 3 more`. */
export function someOf(texts: readonly string[], most: number, total = texts.length): string {
  const told = texts.slice(0, most)
  return total > told.length ? `${told.join(', ')} and ${grouped(total - told.length)} more` : told.join(', ')
}

/** `1 member`, `2 members`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

/** An IP address and a port. */
export interface Endpoint {
  /** IPv4 or IPv6, as written. */
  readonly address: string
  readonly port: number
}

/** `address:port`, `[IPv6 address]:port` → Endpoint; undefined when it is none. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const address = match[1] ?? match[2]!
  const port = Number(match[3])
  const family = match[1] === undefined ? 4 : 6
  return isIP(address) === family && port >= 1 && port <= 65_535 ? { address, port } : undefined
}

/** The address families of some endpoints. `::` takes IPv6 alone: each family has a socket of its own. */
export const familiesOf = (endpoints: readonly Endpoint[]): readonly (4 | 6)[] =>
  ([4, 6] as const).filter((family) => endpoints.some(({ address }) => isIP(address) === family))

/** An Endpoint as text: `192.0.2.1:53`, `[2001:db8::1]:53`. */
export const formatEndpoint = ({ address, port }: Endpoint): string => `${bracketed(address)}:${port}`

/** A host as it stands before a port: IPv6 in brackets. */
export const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)
