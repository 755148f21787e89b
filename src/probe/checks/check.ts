/**
 * Runs a target's check by its kind. The only entry: what a prober may not reach is refused here, whatever the kind,
 * before a socket is opened or a program started. Targets are addresses; nothing here resolves a name, and redirects
 * stay at their address, so the address that was permitted is the one that is dialled.
 */
import { DEFAULT_REACH, type Reach } from '../../health/reach.ts'
import type { Target } from '../../health/target.ts'
import { checkAgent } from './agent.ts'
import type { Authorities } from './certificate.ts'
import { checkDns } from './dns.ts'
import { checkExec, type Commands } from './exec.ts'
import { checkGrpc } from './grpc.ts'
import { checkHttp, type HeaderValues } from './http.ts'
import { checkIcmp } from './icmp.ts'
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
}

/** Runs the check. Never rejects; ends within the check's timeout. */
export function runCheck(target: Target, settings: CheckSettings = {}): Promise<Observation> {
  const { commands = {}, authorities = {}, headerValues = {}, reach = DEFAULT_REACH } = settings
  const { address, port, check } = target
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
