/**
 * Runs a target's check by its kind. The only entry: what a prober may not reach is refused here, whatever the kind,
 * before a socket is opened or a program started. A target is an address, or a name that is resolved here, once; redirects
 * stay at their address. So the address that was permitted is the one that is dialled.
 */
import { parseAddress } from '../../dns/address.ts'
import { DEFAULT_REACH, type Reach } from '../../health/reach.ts'
import type { Target } from '../../health/target.ts'
import { checkAgent } from './agent.ts'
import type { Authorities } from './certificate.ts'
import { checkDns } from './dns.ts'
import { checkExec, type Commands } from './exec.ts'
import { checkGrpc } from './grpc.ts'
import { checkHttp, type HeaderValues } from './http.ts'
import { checkIcmp } from './icmp.ts'
import { makeResolveTarget, type ResolveTarget } from './name.ts'
import type { Observation } from './observation.ts'
import { checkTcp } from './tcp.ts'
import { checkTls } from './tls.ts'

/** Node settings that checks need. */
export interface CheckSettings {
  /** `probe.exec`. */
  readonly commands?: Commands
  /** `probe.ca`. */
  readonly authorities?: Authorities
  /** `probe.headers`. */
  readonly headerValues?: HeaderValues
  /** `probe.allow`, `probe.deny` and the built-in list. */
  readonly reach?: Reach
  /** Finds the address of a target that is a name; the machine's resolver unless given. */
  readonly resolveTarget?: ResolveTarget
}

/** Runs the check. Never rejects; ends within the check's timeout. */
export function runCheck(target: Target, settings: CheckSettings = {}): Promise<Observation> {
  const { commands = {}, authorities = {}, headerValues = {}, reach = DEFAULT_REACH } = settings
  const { address, port, check } = target
  if (parseAddress(address) === undefined) return runAtName(target, settings)
  const refusal = reach.refusal(address, port)
  if (refusal !== undefined) return Promise.resolve({ kind: 'unable', reason: refusal, rttMs: 0 })
  switch (check.type) {
    case 'http':
    case 'https':
      return checkHttp({ address, port, check }, { authorities, headerValues, reach })
    case 'tcp':
      return checkTcp({ address, port, check })
    case 'icmp':
      return checkIcmp({ address, port, check })
    case 'tls':
      return checkTls({ address, port, check }, authorities)
    case 'grpc':
      return checkGrpc({ address, port, check }, authorities)
    case 'dns':
      return checkDns({ address, port, check })
    case 'exec':
      return checkExec({ address, port, check }, commands)
    case 'agent':
      return checkAgent({ address, port, check })
    default:
      return check satisfies never
  }
}

const resolveByMachine = makeResolveTarget()

/** Runs the check of a target that is a name, at one of its addresses; the time to find it counts. */
async function runAtName(target: Target, settings: CheckSettings): Promise<Observation> {
  const { timeoutMs } = target.check
  const startMs = performance.now()
  const address = await (settings.resolveTarget ?? resolveByMachine)(target.address, timeoutMs)
  if (typeof address !== 'string') return address
  const leftMs = Math.max(1, Math.floor(timeoutMs - (performance.now() - startMs)))
  return runCheck({ ...target, address, check: { ...target.check, timeoutMs: leftMs } }, settings)
}
