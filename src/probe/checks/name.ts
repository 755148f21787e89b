/**
 * The address at which a VIP that is a name is checked: the first of the DNS answer, as a client would take it. Asked for
 * anew with every check, of the machine's resolver; IPv6 is asked for only where there is no IPv4 address. That the name
 * has no address is a fault of the site; that no resolver says so is this host's.
 */
import { Resolver } from 'node:dns/promises'
import { codeOf, messageOf } from '../../problem.ts'
import { formatDuration } from '../../units.ts'
import type { Observation } from './observation.ts'

/** Gives the address of a name (with its last dot), or what the check has observed without one. Never rejects. */
export type ResolveTarget = (name: string, timeoutMs: number) => Promise<string | Observation>

const TRIES = 2
const NO_ADDRESS: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA'])

/** Makes a ResolveTarget. `servers`: `address:port`, in place of the machine's own. */
export function makeResolveTarget(servers?: readonly string[]): ResolveTarget {
  return async (name, timeoutMs) => {
    const startMs = performance.now()
    const of = (kind: Observation['kind'], reason: string): Observation => ({
      kind,
      reason,
      rttMs: performance.now() - startMs,
    })
    const resolver = new Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / (TRIES + 1))), tries: TRIES })
    const timer = setTimeout(() => resolver.cancel(), timeoutMs)
    try {
      if (servers !== undefined) resolver.setServers(servers)
      for (const ask of [() => resolver.resolve4(name), () => resolver.resolve6(name)]) {
        try {
          // oxlint-disable-next-line no-await-in-loop -- the second only where the first gives nothing
          const [address] = await ask()
          if (address !== undefined) return address
        } catch (error) {
          if (!NO_ADDRESS.has(codeOf(error) ?? '')) throw error
        }
      }
      return of('fail', `${name} has no address`)
    } catch (error) {
      const code = codeOf(error)
      const why = code === 'ECANCELLED' || code === 'ETIMEOUT' ? `no answer in ${formatDuration(timeoutMs)}` : code
      return of('unable', `${name} was not resolved: ${why ?? messageOf(error)}`)
    } finally {
      clearTimeout(timer)
    }
  }
}
