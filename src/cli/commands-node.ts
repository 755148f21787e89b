/**
 * The command line of commands that talk to a running node: explain and status; overrides and other requests, which
 * reach all nodes through it. Called by commands.ts; what a command does is in its own file.
 */
import type { Command } from 'commander'
import type { RequestedAction } from '../api/bodies.ts'
import { explain } from './explain.ts'
import {
  withNodeOptions,
  collect,
  controlOf,
  type OnExitCode,
  filesOf,
  settingsOf,
  type SharedFlags,
} from './options.ts'
import type { Output } from './output.ts'
import { acceptGeo, forget, outlook, override, whoAmI } from './override.ts'
import { status } from './status.ts'

/** Adds explain, status, drain, undrain, force, prober forget and geo accept. */
export function addNodeCommands(program: Command, output: Output, onExit: OnExitCode): void {
  addQuestions(program, output, onExit)
  addOverrides(program, output, onExit)
  addGeo(program, output, onExit)
}

interface ExplainFlags {
  readonly client: string
  readonly type: string
  readonly down: readonly string[]
  readonly drain: readonly string[]
  readonly resolver?: string
  readonly ecs: boolean
  readonly offline?: boolean
  readonly wire?: boolean
}

/** Commands that change nothing. */
function addQuestions(program: Command, output: Output, onExit: OnExitCode): void {
  withNodeOptions(program.command('explain').argument('<NAME>', 'the name that is asked for'))
    .summary('why a client gets its answer')
    .description(
      'Tells why a client gets its answer: place, rule, distances, groups, health, TTL, scope, and the bytes. Asks the node; without one, loads the files and assumes that every member is up.',
    )
    .requiredOption('--client <IP>', 'address of the client, or its network as resolvers send it (192.0.2.0/24)')
    .option('--type <TYPE>', 'type of the query', 'A')
    .option('--down <PATTERN>', 'what if SITE[/SERVICE[/VIP]] were down; may be repeated', collect, [])
    .option('--drain <PATTERN>', 'what if SITE[/SERVICE[/VIP]] were drained; may be repeated', collect, [])
    .option('--resolver <IP>', 'address that the query comes from (default: the client)')
    .option('--no-ecs', 'the resolver does not send the client subnet (RFC 7871)')
    .option('--offline', 'load the files, even if a node runs')
    .option('--wire', 'print the bytes of the answer too')
    .action(async (name: string, options: SharedFlags & ExplainFlags, command: Command) => {
      if (options.offline === true && options.at !== undefined)
        command.error('error: --offline asks no node: leave out --at')
      const { client, type, down, drain, ecs, resolver } = options
      const question = { name, client, type, down, drain, ecs, ...(resolver !== undefined && { resolver }) }
      const config = settingsOf(command, output)
      const files = filesOf(config)
      const how = { offline: options.offline === true, wire: options.wire === true }
      onExit(await explain({ ...controlOf(options, config), question, files, ...how }, output))
    })

  withNodeOptions(program.command('status'))
    .summary('services, members, votes and the fleet, as a node sees them; or what a prober probes')
    .description(
      'Shows services, members, votes, overrides, probers and nodes, as a node sees them, with troubles (!) first; for a prober, its targets. Exits with 1 while it is not ready.',
    )
    .action(async (options: SharedFlags, command: Command) => {
      onExit(await status(controlOf(options, settingsOf(command, output)), output))
    })
}

const PATTERN = 'SITE, SITE/SERVICE or SITE/SERVICE/VIP'

interface OverrideFlags extends SharedFlags {
  readonly for?: string
  readonly why?: string
  readonly who?: string
  readonly yes?: boolean
}

const withWho = (command: Command): Command =>
  withNodeOptions(command).option('--who <NAME>', 'who requests it (default: user@host)')

const FOR = ['--for <TIME>', 'how long, e.g. 30m, 2h (default: until undone)'] as const
const YES = ['--yes', 'do it even if less than `keep` of a service would be left'] as const

/** Commands that override votes on all nodes, through the node on this machine. */
function addOverrides(program: Command, output: Output, onExit: OnExitCode): void {
  const applyOverride = async (
    pattern: string,
    action: RequestedAction,
    options: OverrideFlags,
    command: Command,
  ): Promise<void> => {
    const { why, for: time, who = whoAmI(), yes = false } = options
    if (why === undefined && action !== 'undrain' && action !== 'off') {
      command.error('error: --why is missing: give a reason, for whoever is on call later')
    }
    const request = {
      pattern,
      action,
      who,
      yes,
      ...(why !== undefined && { why }),
      ...(time !== undefined && { for: time }),
    }
    onExit(await override({ ...controlOf(options, settingsOf(command, output)), ...request }, output))
  }

  withWho(program.command('drain').argument('<PATTERN>', PATTERN))
    .summary('send clients elsewhere, unless everything else is down')
    .description('Drains the members of SITE[/SERVICE[/VIP]]: clients go elsewhere while anything else is up.')
    .option(...FOR)
    .option('--why <TEXT>', 'the reason; required')
    .option(...YES)
    .option('--dry-run', 'only show what would be left; exits with 1 if it is not safe')
    .action(async (pattern: string, options: OverrideFlags & { dryRun?: boolean }, command: Command) => {
      if (options.dryRun !== true) return applyOverride(pattern, 'drain', options, command)
      onExit(await outlook({ ...controlOf(options, settingsOf(command, output)), pattern }, output))
    })

  withWho(program.command('undrain').argument('<PATTERN>', PATTERN))
    .summary('undo a drain')
    .description('Undoes a drain of the same pattern.')
    .action((pattern: string, options: OverrideFlags, command: Command) =>
      applyOverride(pattern, 'undrain', options, command),
    )

  withWho(program.command('force').argument('<PATTERN>', PATTERN))
    .argument('<STATE>', 'up, down, or off to undo that')
    .summary('treat members as up or down whatever the votes say, or undo that (off)')
    .description(
      'Treats the members of SITE[/SERVICE[/VIP]] as up, or as down, whatever the votes say; `off` undoes it.',
    )
    .option(...FOR)
    .option('--why <TEXT>', 'the reason; required for up and down')
    .option(...YES)
    .action(async (pattern: string, state: string, options: OverrideFlags, command: Command) => {
      if (state !== 'up' && state !== 'down' && state !== 'off') command.error('error: force takes up, down or off')
      else await applyOverride(pattern, state, options, command)
    })

  const prober = program.command('prober').summary('the roster of probers: prober forget NAME')
  withWho(prober.command('forget').argument('<NAME>', 'the prober, as `meridian status` names it'))
    .summary('remove a prober that is gone for good from the roster')
    .description(
      'Removes a prober that is gone for good from the rosters of all nodes, so that quorums no longer count it.',
    )
    .action(async (name: string, options: OverrideFlags, command: Command) => {
      const who = options.who ?? whoAmI()
      onExit(await forget({ ...controlOf(options, settingsOf(command, output)), prober: name, who }, output))
    })
}

function addGeo(program: Command, output: Output, onExit: OnExitCode): void {
  const geo = program.command('geo').summary('databases that are held back: geo accept')
  withWho(geo.command('accept'))
    .summary('use new databases that `geo.maxMove` holds back')
    .description(
      'Uses the databases that the setting geo.maxMove holds back at this node, however many clients they move; later ones are held back again.',
    )
    .action(async (options: OverrideFlags, command: Command) => {
      const who = options.who ?? whoAmI()
      onExit(await acceptGeo({ ...controlOf(options, settingsOf(command, output)), who }, output))
    })
}
