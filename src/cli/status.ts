/**
 * `meridian status`: what a node sees, or what a prober does. What wants attention comes first, then the process, then
 * services, overrides, probers and nodes.
 */
import type { ProberStatusView } from '../api/prober-status.ts'
import type { Status } from '../api/status.ts'
import { count } from '../units.ts'
import { ask, type ControlOptions } from './control.ts'
import { type Output, wrap } from './output.ts'
import { nodesInWords, overridesInWords, probersInWords } from './words/fleet.ts'
import { proberInWords } from './words/prober.ts'
import { probingInWords } from './words/probing.ts'
import { loadInWords, processInWords, storeInWords } from './words/process.ts'
import { membersInTrouble, serviceInWords } from './words/services.ts'

/** Exit code: 0 when ready, 1 when not. */
export async function status(options: ControlOptions & { readonly json: boolean }, output: Output): Promise<number> {
  const answer = await ask<Status | ProberStatusView>(options, '/api/status')
  if (options.json) output.out(JSON.stringify(answer))
  else output.out(answer.role === 'serve' ? nodeInWords(answer) : proberInWords(answer))
  return answer.node.ready ? 0 : 1
}

export function nodeInWords(seen: Status): string {
  const { node, world, load, server, store, probing } = seen
  const attention = attentionOf(seen).map((line) => wrap(line, '! '))
  const udp = server === null ? '' : `, ${count(server.udp.threads, 'thread')}, UDP ${server.udp.form}`
  const reason = server?.udp.reason === undefined ? '' : ` (${server.udp.reason})`
  return [
    ...processInWords(node),
    `listening on ${node.listen.join(', ')}${udp}${reason}`,
    ...(world === null
      ? []
      : [
          `generation ${world.generation}  view ${world.view}  ${count(world.zones, 'zone')}  ${count(world.names, 'name')}`,
          `revision ${world.revision ?? 'unknown to git'}  serial ${world.serial}`,
        ]),
    ...loadInWords(load),
    storeInWords(store),
    ...(probing === null ? ['probing nothing itself'] : [wrap(probingInWords(probing))]),
    ...attention,
    ...seen.services.flatMap((service) => ['', serviceInWords(service)]),
    '',
    overridesInWords(seen.overrides),
    probersInWords(seen.probers),
    nodesInWords(seen.nodes),
  ].join('\n')
}

const names = (those: readonly string[]): string => those.join(', ')

/** Of each kind of trouble an operator reads so many lines; each service has its own below. */
const MOST_LINES = 20

const some = (lines: readonly string[]): readonly string[] =>
  lines.length <= MOST_LINES
    ? lines
    : [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} more services like these, below`]

/** What an operator should know before all else. */
function attentionOf({ services, overrides, probers, nodes, store, troubles }: Status): string[] {
  const silent = probers.filter(({ live }) => !live).map(({ prober }) => prober)
  const orphaned = overrides.filter((override) => override.orphaned).map(({ override }) => override.pattern)
  const others = nodes.filter(({ live, self }) => live && !self)
  const view = others.filter(({ viewDiffersMs }) => viewDiffersMs > 0).map(({ beat }) => beat.node.name)
  const verdicts = others.filter(({ verdictsDifferMs }) => verdictsDifferMs > 0).map(({ beat }) => beat.node.name)
  return [
    ...(store.trouble === null ? [] : [store.trouble]),
    ...troubles,
    ...some(
      services.filter(({ lastResort }) => lastResort).map(({ service }) => `${service}: LAST RESORT, nobody is usable`),
    ),
    ...some(
      services
        .filter(({ braked }) => braked.length > 0)
        .map(({ service, braked }) => `${service}: BRAKE, these stay up though down: ${names(braked)}`),
    ),
    ...some(
      services.flatMap(({ service, members }) => {
        const trouble = membersInTrouble(members)
        return trouble === '' ? [] : [`${service}: ${trouble} of ${count(members.length, 'member')}`]
      }),
    ),
    ...(orphaned.length > 0 ? [`overrides ORPHANED: ${names(orphaned)}`] : []),
    ...(silent.length > 0 ? [`probers SILENT: ${names(silent)}`] : []),
    ...(view.length > 0 ? [`other zones, databases or version: ${names(view)}`] : []),
    ...(verdicts.length > 0 ? [`other verdicts: ${names(verdicts)}`] : []),
  ]
}
