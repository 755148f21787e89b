/**
 * `meridian status`: shows what a node sees, or what a prober does. By default one screen: what is hurt, by site, and the
 * last changes (cli/words/summary.ts). With a filter the services and members that it leaves, with their votes; with --all
 * everything. Lines have at most 100 columns.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { StatusFilter } from '../api/contract.ts'
import type { ProberStatusView } from '../api/prober-status.ts'
import type { Status } from '../api/status.ts'
import type { Summary } from '../api/summary.ts'
import { printable } from '../problem.ts'
import { count } from '../units.ts'
import { ask, ControlError, type ControlOptions } from './control.ts'
import { type Output, type Terminal, wrap } from './output.ts'
import { announceInWords } from './words/announce.ts'
import { coloured } from './words/colours.ts'
import {
  nodesInWords,
  overridesInWords,
  probersInWords,
  freezeInWords,
  nextDrillInWords,
  silenceInWords,
  silentNodes,
  skewedNodes,
} from './words/fleet.ts'
import { proberInWords } from './words/prober.ts'
import { probingInWords } from './words/probing.ts'
import { lastChangeInWords, loadInWords, processInWords, storeInWords } from './words/process.ts'
import { dissentsInWords, membersInTrouble, serviceInWords } from './words/services.ts'
import { summaryInWords } from './words/summary.ts'

/** What to show, and how to reach the process. */
export interface StatusOptions extends ControlOptions, StatusFilter {
  readonly json: boolean
  /** Everything there is, however many screens. */
  readonly all: boolean
  /** Show it again and again, after so many ms; undefined: once. */
  readonly everyMs?: number
}

/** Shows the status; resolves to the exit code, 0 if the process is ready, else 1. Throws ControlError. */
export async function status(options: StatusOptions, output: Output): Promise<number> {
  const { screen } = output
  if (options.everyMs !== undefined) return watch(options, options.everyMs, screen)
  if (options.json) {
    const answer = await ask<Status | ProberStatusView>(options, `/api/status${queryOf(options)}`)
    output.out(JSON.stringify(answer))
    return codeOf(answer)
  }
  const { text, code } = await look(options, screen?.rows)
  if (screen?.colours === true) screen.write(`${coloured(printable(text))}\n`)
  else output.out(text)
  return code
}

const codeOf = ({ node }: Pick<Status | ProberStatusView, 'node'>): number => (node.ready ? 0 : 1)

/** Asks the process, and puts its answer into words. */
async function look(options: StatusOptions, rows?: number): Promise<{ readonly text: string; readonly code: number }> {
  const query = queryOf(options)
  if (query === '' && !options.all) {
    const answer = await ask<Summary | ProberStatusView>(options, '/api/summary')
    const text = answer.role === 'serve' ? summaryInWords(answer, rows) : proberInWords(answer, rows)
    return { text, code: codeOf(answer) }
  }
  const answer = await ask<Status | ProberStatusView>(options, `/api/status${query}`)
  const text =
    answer.role === 'probe' ? proberInWords(answer) : query === '' ? nodeInWords(answer) : membersInWords(answer)
  return { text, code: codeOf(answer) }
}

function queryOf({ services, sites, hurt }: StatusFilter): string {
  const query = new URLSearchParams()
  for (const service of services) query.append('service', service)
  for (const site of sites) query.append('site', site)
  if (hurt) query.append('hurt', 'yes')
  return query.size === 0 ? '' : `?${query.toString()}`
}

/** Moves to the top left; erases to the end of the line, and of the screen (ECMA-48 CUP, EL, ED). */
const HOME = '\u001B[H'
const ERASE_LINE = '\u001B[K'
const ERASE_REST = '\u001B[J'

/** Shows the status until a signal ends the command; a process that does not answer is asked again. */
async function watch(options: StatusOptions, everyMs: number, screen: Terminal | undefined): Promise<never> {
  if (screen === undefined) throw new ControlError('--watch needs a terminal\n    For scripts: status --json')
  for (;;) {
    const text = await look(options, screen.rows - 1).then(
      (shown) => shown.text,
      (error: unknown) => {
        if (error instanceof ControlError) return `! ${error.message}`
        throw error
      },
    )
    const at = `${new Date().toISOString().slice(11, 19)} UTC, every ${everyMs / 1000} s; Ctrl-C ends it`
    const plain = printable(`${text}\n${at}`).split('\n')
    const lines = plain.length < screen.rows ? plain : [...plain.slice(0, screen.rows - 2), at]
    const painted = screen.colours ? coloured(lines.join('\n')).split('\n') : lines
    screen.write(`${HOME}${painted.map((line) => `${line}${ERASE_LINE}\n`).join('')}${ERASE_REST}`)
    await sleep(everyMs)
  }
}

/** The members that a filter has left, with their services. */
export function membersInWords({ node, services }: Status): string {
  const some = services.length === 0 ? ['', 'no member is hurt'] : services.flatMap((one) => ['', serviceInWords(one)])
  return [...processInWords(node), ...some].join('\n')
}

/** The whole status of a node, in words. */
export function nodeInWords(seen: Status): string {
  const { node, world, load, server, store, probing } = seen
  const attention = attentionOf(seen).map((line) => wrap(line, '! '))
  const udp = server === null ? '' : `, ${count(server.udp.threads, 'thread')}, UDP ${server.udp.form}`
  const reason = server?.udp.reason === undefined ? '' : ` (${server.udp.reason})`
  return [
    ...processInWords(node),
    ...announceInWords(seen.announce),
    `listening on ${node.listen.join(', ')}${udp}${reason}`,
    ...(world === null
      ? []
      : [
          `generation ${world.generation}  view ${world.view}  ${count(world.zones, 'zone')}  ${count(world.names, 'name')}`,
          `revision ${world.revision ?? 'none (not in git)'}  serial ${world.serial}`,
          ...(world.moves === null ? [] : [wrap(lastChangeInWords(world.moves))]),
        ]),
    ...loadInWords(load),
    ...nextDrillInWords(seen.nextDrill),
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

const some = (lines: readonly string[], of = 'services'): readonly string[] =>
  lines.length <= MOST_LINES
    ? lines
    : [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} more ${of} like these, below`]

/** What needs an operator's attention, a line each. */
function attentionOf({ services, overrides, freeze, probers, nodes, store, troubles }: Status): string[] {
  const silent = probers
    .filter(({ live }) => !live)
    .map(({ prober }) => prober)
    .toSorted()
  const orphaned = overrides.filter((override) => override.orphaned).map(({ override }) => override.pattern)
  const overlong = overrides.filter((override) => override.overlong).map(({ override }) => override.pattern)
  const silentPeers = store.trouble === null ? silentNodes(nodes) : [] // without Redis everyone is silent
  const skewed = skewedNodes(nodes)
  const others = nodes.filter(({ live, self }) => live && !self)
  const view = others.filter(({ viewDiffersMs }) => viewDiffersMs > 0).map(({ beat }) => beat.node.name)
  const verdicts = others.filter(({ verdictsDifferMs }) => verdictsDifferMs > 0).map(({ beat }) => beat.node.name)
  return [
    ...(store.trouble === null ? [] : [store.trouble]),
    ...(freeze === null ? [] : [freezeInWords(freeze)]),
    ...some(dissentsInWords(services, probers, store.trouble !== null), 'sites'),
    ...troubles,
    ...some(
      services
        .filter(({ lastResort }) => lastResort)
        .map(({ service }) => `${service}: LAST RESORT: no member is usable`),
    ),
    ...some(
      services.flatMap(({ service, unanswered }) =>
        unanswered.map((type) => `${service}: NO ADDRESS for ${type}: all members that have one are down`),
      ),
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
    ...(overlong.length > 0 ? [`overrides that last LONGER than overrides.maxFor: ${names(overlong)}`] : []),
    ...(store.trouble === null && silent.length > 0 ? [silenceInWords('prober', names(silent))] : []),
    ...(silentPeers.length > 0 ? [silenceInWords('node', names(silentPeers))] : []),
    ...(skewed.length > 0 ? [`nodes whose CLOCK differs from this one's: ${names(skewed)}`] : []),
    ...(view.length > 0 ? [`nodes that serve other zones, databases or versions than this one: ${names(view)}`] : []),
    ...(verdicts.length > 0 ? [`nodes with other verdicts than this one: ${names(verdicts)}`] : []),
  ]
}
