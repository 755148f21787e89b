/**
 * `meridian status`: shows what a node sees, or what a prober does. The process comes first, then whatever needs
 * attention, each on a line with `!`, then services, overrides, probers and nodes. Lines have at most 100 columns.
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

/** Shows the status; resolves to the exit code, 0 if the process is ready, else 1. */
export async function status(options: ControlOptions & { readonly json: boolean }, output: Output): Promise<number> {
  const answer = await ask<Status | ProberStatusView>(options, '/api/status')
  if (options.json) output.out(JSON.stringify(answer))
  else output.out(answer.role === 'serve' ? nodeInWords(answer) : proberInWords(answer))
  return answer.node.ready ? 0 : 1
}

/** The status of a node, in words. */
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
          `revision ${world.revision ?? 'none (not in git)'}  serial ${world.serial}`,
        ]),
    ...loadInWords(load),
    storeInWords(store),
    ...(probing === null ? ['not probing itself (probe.enabled is false)'] : [wrap(probingInWords(probing))]),
    ...attention,
    ...seen.services.flatMap((service) => ['', serviceInWords(service)]),
    '',
    overridesInWords(seen.overrides),
    probersInWords(seen.probers),
    nodesInWords(seen.nodes),
  ].join('\n')
}

const names = (those: readonly string[]): string => those.join(', ')

/** The most lines of each kind of trouble; each service has its own below. */
const MOST_LINES = 20

const some = (lines: readonly string[]): readonly string[] =>
  lines.length <= MOST_LINES
    ? lines
    : [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} more services like these, below`]

/** What needs an operator's attention, a line each. */
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
      services
        .filter(({ lastResort }) => lastResort)
        .map(({ service }) => `${service}: LAST RESORT: no member is usable`),
    ),
    ...some(
      services
        .filter(({ braked }) => braked.length > 0)
        .map(({ service, braked }) => `${service}: BRAKE: voted DOWN, but kept in answers: ${names(braked)}`),
    ),
    ...some(
      services.flatMap(({ service, members }) => {
        const trouble = membersInTrouble(members)
        return trouble === '' ? [] : [`${service}: ${trouble} of ${count(members.length, 'member')}`]
      }),
    ),
    ...(orphaned.length > 0 ? [`overrides ORPHANED (they match no member): ${names(orphaned)}`] : []),
    ...(silent.length > 0 ? [`probers SILENT (no heartbeat): ${names(silent)}`] : []),
    ...(view.length > 0 ? [`nodes that serve other zones, databases or versions than this one: ${names(view)}`] : []),
    ...(verdicts.length > 0 ? [`nodes with other verdicts than this one: ${names(verdicts)}`] : []),
  ]
}
