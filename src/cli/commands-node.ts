/** Commands that talk to a running node: what it sees and why, and overrides for it and, through it, for all nodes. */
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
      'Tells why a client gets its answer: place, rule, distances, groups, health, TTL, scope, and the bytes. Asks the node; where there is none, loads the files and takes every member for up.',
    )
    .requiredOption('--client <IP>', 'address of the client, or its network as resolvers tell it (192.0.2.0/24)')
    .option('--type <TYPE>', 'type of the query', 'A')
    .option('--down <PATTERN>', 'what if SITE[/SERVICE[/VIP]] were down; may be repeated', collect, [])
    .option('--drain <PATTERN>', 'what if SITE[/SERVICE[/VIP]] were drained; may be repeated', collect, [])
    .option('--resolver <IP>', 'where the query comes from; the client itself without')
    .option('--no-ecs', 'the resolver does not tell the client (RFC 7871)')
    .option('--offline', 'load the files, even where a node runs')
    .option('--wire', 'print the bytes of the answer too')
    .action(async (name: string, options: SharedFlags & ExplainFlags, command: Command) => {
      if (options.offline === true && options.at !== undefined)
        command.error('error: --offline asks no node: leave --at out')
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
      'Services, members, votes, overrides, probers and nodes, as a node sees them, what wants attention first; of a prober, its targets. Exits with 1 while it is not ready.',
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
  withNodeOptions(command).option('--who <NAME>', 'who says so (default: you, at this host)')

const FOR = ['--for <TIME>', 'how long, e.g. 30m, 2h; until undone without'] as const
const YES = ['--yes', 'also when less than `keep` of a service would be left'] as const

/** Commands that tell all nodes, through the one on this machine, what stands above votes. */
function addOverrides(program: Command, output: Output, onExit: OnExitCode): void {
  const applyOverride = async (
    pattern: string,
    action: RequestedAction,
    options: OverrideFlags,
    command: Command,
  ): Promise<void> => {
    const { why, for: time, who = whoAmI(), yes = false } = options
    if (why === undefined && action !== 'undrain' && action !== 'off') {
      command.error('error: --why is missing: say why, for those who find it at night')
    }
    const asked = {
      pattern,
      action,
      who,
      yes,
      ...(why !== undefined && { why }),
      ...(time !== undefined && { for: time }),
    }
    onExit(await override({ ...controlOf(options, settingsOf(command, output)), ...asked }, output))
  }

  withWho(program.command('drain').argument('<PATTERN>', PATTERN))
    .summary('send clients elsewhere, and keep it as what is left when all else is down')
    .description('Drains the members of SITE[/SERVICE[/VIP]]: clients go elsewhere while anything else is up.')
    .option(...FOR)
    .option('--why <TEXT>', 'why; must be said')
    .option(...YES)
    .option('--dry-run', 'only tell what would be left; exits with 1 when it is not safe')
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
    .argument('<STATE>', 'up or down, whatever the votes say; off: undo that')
    .summary('take it for up or down whatever the votes say, or undo that (off)')
    .description(
      'Takes the members of SITE[/SERVICE[/VIP]] for up, or for down, whatever the votes say; `off` undoes it.',
    )
    .option(...FOR)
    .option('--why <TEXT>', 'why; must be said for up and down')
    .option(...YES)
    .action(async (pattern: string, state: string, options: OverrideFlags, command: Command) => {
      if (state !== 'up' && state !== 'down' && state !== 'off') command.error('error: force takes up, down or off')
      else await applyOverride(pattern, state, options, command)
    })

  const prober = program.command('prober').summary('the roster of probers: prober forget NAME')
  withWho(prober.command('forget').argument('<NAME>', 'the prober, as `meridian status` names it'))
    .summary('take a prober that is gone for good from the roster')
    .description(
      'Takes a prober that is gone for good from the rosters of all nodes, so that quorums no longer wait for it.',
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
      'Uses the databases that the setting geo.maxMove holds back at this node, whatever they move; no later ones.',
    )
    .action(async (options: OverrideFlags, command: Command) => {
      const who = options.who ?? whoAmI()
      onExit(await acceptGeo({ ...controlOf(options, settingsOf(command, output)), who }, output))
    })
}
