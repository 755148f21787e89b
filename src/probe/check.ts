/** Runs the check of a target by its kind. */
import type { Target } from '../health/target.ts'
import { checkAgent } from './agent.ts'
import { checkDns } from './dns.ts'
import { checkExec, type Commands } from './exec.ts'
import { checkGrpc } from './grpc.ts'
import { checkHttp } from './http.ts'
import { checkIcmp } from './icmp.ts'
import type { Observation } from './observation.ts'
import { checkTcp } from './tcp.ts'
import { checkTls } from './tls.ts'

/** Never rejects; ends within the check's timeout. `commands`: the node setting `probe.exec`. */
export function runCheck(target: Target, commands: Commands = {}): Promise<Observation> {
  const { address, port, check } = target
  switch (check.type) {
    case 'http':
    case 'https':
      return checkHttp({ address, port, check })
    case 'tcp':
      return checkTcp({ address, port, check })
    case 'icmp':
      return checkIcmp({ address, port, check })
    case 'tls':
      return checkTls({ address, port, check })
    case 'grpc':
      return checkGrpc({ address, port, check })
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
