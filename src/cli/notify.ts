/** `meridian notify test RECEIVER`: sends one message to a receiver, from here and at once, and tells what became of it. */
import { trustAuthorities } from '../authorities.ts'
import type { Config } from '../config.ts'
import { receiverFaults } from '../events/notify/secrets.ts'
import { send } from '../events/notify/send.ts'
import { didYouMean } from '../problem.ts'
import type { Output } from './output.ts'

/** Tries a receiver of these settings. Resolves to the exit code: 0 when the receiver has taken the message. */
export async function testReceiver(name: string, config: Config, output: Output): Promise<number> {
  const receiver = config.notify[name]
  if (receiver === undefined) {
    const hint = didYouMean(name, Object.keys(config.notify)) ?? 'The setting notify names none'
    output.err(`there is no receiver ${name}. ${hint}`)
    return 1
  }
  const faults = receiverFaults(receiver)
  for (const { message, hint } of faults) output.err(`notify.${name}: ${message}\n    ${hint}`)
  if (faults.length > 0) return 1
  trustAuthorities(config['tls.ca'])
  const node = config['node.name']
  const atMs = Date.now()
  const id = `${node}.${atMs.toString(36)}.1`
  const why = `a test of the receiver ${name}: nothing has happened`
  const event = {
    id,
    atMs,
    node,
    kind: 'process',
    severity: 'info',
    subject: node,
    before: null,
    after: null,
    why,
    sinceMs: null,
  } as const
  const problem = `process ${node}`
  const item = { event, problem, direction: 'news', was: null } as const
  const outcome = await send(receiver, { id, problem, direction: 'news', node, atMs, items: [item], open: 0 }, 0)
  if (!outcome.sent) {
    output.err(`notify.${name} can’t be told: ${outcome.why}`)
    return 1
  }
  output.out(`notify.${name} has taken the test message ${id}`)
  if (receiver.type === 'pagerduty') output.out('PagerDuty shows it as an alert of severity info: resolve it there')
  return 0
}
