/**
 * The command line of commands that talk to a running node: explain and status; overrides and other requests, which
 * reach all nodes through it. Called by commands.ts; what a command does is in its own file, loaded when it runs.
 */
import { Argument, type Command } from 'commander'
import type { RequestedAction } from '../api/bodies.ts'
import {
  collect,
  controlOf,
  filesOf,
  LOAD_SETTINGS,
  type OnExitCode,
  settingsOf,
  type SharedFlags,
  withExamples,
  withNodeOptions,
  withSettings,
} from './options.ts'
import type { Output } from './output.ts'

/**
 * Adds explain, status, events, drain, undrain, force, drill, return, freeze, unfreeze, prober forget, node forget, geo
 * accept, zones accept and notify test.
 */
export function addNodeCommands(program: Command, output: Output, onExit: OnExitCode): void {
  addQuestions(program, output, onExit)
  addEvents(program, output, onExit)
  addOverrides(program, output, onExit)
  addGeo(program, output, onExit)
  addZones(program, output, onExit)
  addNotify(program, output, onExit)
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
  const named = program.command('explain').argument('<NAME>', 'the name that is asked for')
  const explaining = withNodeOptions(named, LOAD_SETTINGS)
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
      const config = await settingsOf(command, output)
      const files = filesOf(config)
      const how = { offline: options.offline === true, wire: options.wire === true }
      const { explain } = await import('./explain.ts')
      onExit(await explain({ ...controlOf(options, config), question, files, ...how }, output))
    })
  withExamples(
    explaining,
    'meridian explain www.example.com --client 134.157.0.7',
    'meridian explain www.example.com --client 134.157.0.0/24 --type AAAA --down fra',
  )

  const some = program.command('status').argument('[SERVICE...]', 'only these services, with their members and votes')
  const seeing = withNodeOptions(some)
    .summary('what is hurt, by site, and what changed last; services, members and votes; or what a prober probes')
    .description(
      'Shows one screen of what a node sees: what is hurt (!), by site, services, overrides, the last changes, the fleet. With a filter or --all: members and votes. For a prober, its targets. Exits with 1 while it is not ready.',
    )
    .option('--site <SITE>', 'only members at this site; may be repeated', collect, [])
    .option('--hurt', 'only members that are not up, held or braked')
    .option('--all', 'everything, however long')
    .option('--watch [SECONDS]', 'show it again every 2 (or so many) seconds')
    .action(async (services: readonly string[], options: SharedFlags & StatusFlags, command: Command) => {
      const { site: sites, hurt = false, all = false, watch } = options
      const seconds = watch === true ? WATCH_SECONDS : Number(watch)
      if (watch !== undefined && !(seconds >= LEAST_WATCH_SECONDS && seconds <= MOST_WATCH_SECONDS)) {
        command.error(`error: --watch takes seconds, ${LEAST_WATCH_SECONDS} to ${MOST_WATCH_SECONDS}, not ${watch}`)
      }
      if (watch !== undefined && options.json === true) command.error('error: use either --watch or --json, not both')
      const config = await settingsOf(command, output)
      const { status } = await import('./status.ts')
      const shown = { services, sites, hurt, all, ...(watch !== undefined && { everyMs: 1000 * seconds }) }
      onExit(await status({ ...controlOf(options, config), ...shown }, output))
    })
  withExamples(
    seeing,
    'meridian status',
    'meridian status web --site fra',
    'meridian status --hurt --watch',
    'meridian status --at 192.0.2.53:8053 --token-file token',
  )
}

interface EventsFlags {
  readonly since?: string
  readonly site?: string
  readonly service?: string
  readonly kind: readonly string[]
  readonly limit: string
  readonly follow?: boolean
}

/** The command that shows what happened. */
function addEvents(program: Command, output: Output, onExit: OnExitCode): void {
  const seeing = withNodeOptions(program.command('events'))
    .summary('what happened to answers: verdicts, drains, reloads, probers, Redis')
    .description(
      'Shows what happened to answers, the newest last, with the nodes that saw it. Asks the node; without one it reads the file that the node left. --json has an event on each line.',
    )
    .option('--since <WHEN>', 'only later ones: 1h, 2026-11-30T02:00Z, or the id of an event')
    .option('--site <SITE>', 'only what is about this site')
    .option('--service <SERVICE>', 'only what is about this service')
    .option('--kind <KIND>', 'only events of this kind, e.g. verdict; may be repeated', collect, [])
    .option('--limit <NUMBER>', 'so many at most, the newest', '100')
    .option('--follow', 'go on with each event as it comes')
    .action(async (options: SharedFlags & EventsFlags, command: Command) => {
      const { kind: kinds, limit, follow = false, since, site, service } = options
      const config = await settingsOf(command, output)
      const { events } = await import('./events.ts')
      const asked = {
        ...(since !== undefined && { since }),
        ...(site !== undefined && { site }),
        ...(service !== undefined && { service }),
      }
      onExit(await events({ ...controlOf(options, config), ...asked, kinds, limit: Number(limit), follow }, output))
    })
  withExamples(seeing, 'meridian events --since 1h', 'meridian events --site fra --kind verdict --follow')
}

interface StatusFlags {
  readonly site: readonly string[]
  readonly hurt?: boolean
  readonly all?: boolean
  readonly watch?: true | string
}

const WATCH_SECONDS = 2
const LEAST_WATCH_SECONDS = 0.5
const MOST_WATCH_SECONDS = 3600

const PATTERN = 'SITE, SITE/SERVICE or SITE/SERVICE/VIP'

interface OverrideFlags extends SharedFlags {
  readonly to?: string
  readonly over?: string
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
    patterns: readonly string[],
    action: RequestedAction,
    options: OverrideFlags,
    command: Command,
  ): Promise<void> => {
    const { override, whoAmI } = await import('./override.ts')
    const { why, to, over, for: time, who = whoAmI(), yes = false } = options
    if (why === undefined && action !== 'undrain' && action !== 'off') {
      command.error('error: --why is missing: give a reason, for whoever is on call later')
    }
    const request = {
      patterns,
      action,
      who,
      yes,
      ...(why !== undefined && { why }),
      ...(to !== undefined && { to }),
      ...(over !== undefined && { over }),
      ...(time !== undefined && { for: time }),
    }
    onExit(await override({ ...controlOf(options, await settingsOf(command, output)), ...request }, output))
  }

  const draining = withWho(program.command('drain').argument('<PATTERN...>', PATTERN))
    .summary('send clients elsewhere, unless everything else is down')
    .description(
      'Drains the members of SITE[/SERVICE[/VIP]], of several all or none: clients go elsewhere while anything else is up.',
    )
    .option('--to <PERCENT>', 'drain in part: this share of the clients stays, e.g. 30% (default: none)')
    .option('--over <TIME>', 'move clients in steps over this time, e.g. 15m (default: at once)')
    .option(...FOR)
    .option('--why <TEXT>', 'the reason; required')
    .option(...YES)
    .option('--dry-run', 'only show what would be left; exits with 1 if it is not safe')
    .action(async (patterns: readonly string[], options: OverrideFlags & { dryRun?: boolean }, command: Command) => {
      const { to, dryRun = false } = options
      if (!dryRun) return applyOverride(patterns, 'drain', options, command)
      const { outlook } = await import('./override.ts')
      const asked = { patterns, ...(to !== undefined && { to }) }
      onExit(await outlook({ ...controlOf(options, await settingsOf(command, output)), ...asked }, output))
    })
  withExamples(
    draining,
    'meridian drain fra --dry-run',
    "meridian drain fra --for 2h --why 'disks, ticket 812'",
    "meridian drain fra --to 30% --over 15m --why 'a new load balancer'",
    "meridian drain fra/web/192.0.2.10 lon/web --why 'kernel update'",
  )

  const undraining = withWho(program.command('undrain').argument('<PATTERN...>', PATTERN))
    .summary('undo a drain')
    .description('Undoes drains of the same patterns, of several all or none.')
    .option('--over <TIME>', 'bring clients back in steps over this time, e.g. 10m (default: at once)')
    .action((patterns: readonly string[], options: OverrideFlags, command: Command) =>
      applyOverride(patterns, 'undrain', options, command),
    )
  withExamples(undraining, 'meridian undrain fra', 'meridian undrain fra --over 10m')

  const forcing = withWho(program.command('force').argument('<PATTERN>', PATTERN))
    .addArgument(new Argument('<STATE>', 'up, down, or off to undo that').choices(['up', 'down', 'off']))
    .summary('treat members as up or down whatever the votes say, or undo that (off)')
    .description(
      'Treats the members of SITE[/SERVICE[/VIP]] as up, or as down, whatever the votes say; `off` undoes it.',
    )
    .option(...FOR)
    .option('--why <TEXT>', 'the reason; required for up and down')
    .option(...YES)
    .action((pattern: string, state: 'up' | 'down' | 'off', options: OverrideFlags, command: Command) =>
      applyOverride([pattern], state, options, command),
    )
  withExamples(forcing, "meridian force iad/web up --why 'the check is broken'", 'meridian force iad/web off')

  const returning = withWho(program.command('return').argument('<PATTERN>', 'SITE or SITE/SERVICE'))
    .summary('let a site have its clients again that has failed over (`failback: manual`)')
    .description(
      'Lets what matches SITE[/SERVICE] have its clients again. A site with `failback: manual` that died is passed over until then, though it is well. What is still not well stays passed over.',
    )
    .option('--why <TEXT>', 'the reason')
    .option('--yes', 'also what is not well: it has its clients as soon as it is')
    .action(async (pattern: string, options: OverrideFlags, command: Command) => {
      const { whoAmI } = await import('./override.ts')
      const { returnSites } = await import('./controls.ts')
      const { who = whoAmI(), why, yes = false } = options
      const asked = { pattern, who, yes, ...(why !== undefined && { why }) }
      onExit(await returnSites({ ...controlOf(options, await settingsOf(command, output)), ...asked }, output))
    })
  withExamples(returning, "meridian return fra --why 'its database has caught up'", 'meridian return fra/web')

  const applyFreeze = (action: 'freeze' | 'unfreeze', options: OverrideFlags, command: Command): Promise<void> =>
    settingsOf(command, output).then(async (config) => {
      const { whoAmI } = await import('./override.ts')
      const { freeze } = await import('./controls.ts')
      const { who = whoAmI(), why, for: time } = options
      const asked = { action, who, ...(why !== undefined && { why }), ...(time !== undefined && { for: time }) }
      onExit(await freeze({ ...controlOf(options, config), ...asked }, output))
    })
  const freezing = withWho(program.command('freeze'))
    .summary('stop the automation on all nodes for a time: verdicts change no answers')
    .description(
      'Freezes answers as they are by health: verdicts go on and are shown, but change no answers; drains, forces and returns still do. Ends by itself, or with `meridian unfreeze`.',
    )
    .requiredOption('--for <TIME>', 'how long, e.g. 30m, 2h; at most 24h')
    .requiredOption('--why <TEXT>', 'the reason')
    .action((options: OverrideFlags, command: Command) => applyFreeze('freeze', options, command))
  withExamples(freezing, "meridian freeze --for 2h --why 'the probers are moved'")

  const unfreezing = withWho(program.command('unfreeze'))
    .summary('end a freeze: verdicts change answers again')
    .description('Ends a freeze: answers follow the verdicts of now at once.')
    .option('--why <TEXT>', 'the reason')
    .action((options: OverrideFlags, command: Command) => applyFreeze('unfreeze', options, command))
  withExamples(unfreezing, 'meridian unfreeze')

  const drilling = withWho(program.command('drill').argument('[PATTERN]', PATTERN))
    .summary('drain for a time to see that the others carry it, and abort by itself; reports')
    .description(
      'Drains SITE[/SERVICE[/VIP]] for a time where that is safe, ends it early by a rule, and prints a report: what was left, and how answers moved. Without a pattern: earlier reports. A command that is stopped leaves the drill running; undrain ends it.',
    )
    .option('--for <TIME>', 'how long, e.g. 30m; required')
    .option(
      '--abort-if <RULES>',
      'end it early: left<60%, last-resort (nothing of a service is left), SERVICE (a member of it goes down), joined by |',
      'last-resort',
    )
    .option('--why <TEXT>', 'the reason; required')
    .action(async (pattern: string | undefined, options: OverrideFlags & { abortIf: string }, command: Command) => {
      const { for: time, why, abortIf } = options
      if (pattern !== undefined && (time === undefined || why === undefined))
        command.error('error: a drill needs --for and --why')
      const [{ drill }, { whoAmI }] = await Promise.all([import('./drill.ts'), import('./override.ts')])
      const asked = { pattern, abortIf, who: options.who ?? whoAmI(), ...(time && { for: time }), ...(why && { why }) }
      onExit(await drill({ ...controlOf(options, await settingsOf(command, output)), ...asked }, output))
    })
  withExamples(
    drilling,
    "meridian drill fra --for 30m --abort-if 'left<60%|last-resort|orders' --why 'quarterly'",
    'meridian drill',
  )

  const addForget = (kind: 'prober' | 'node', list: string, effect: string, example: string): void => {
    const parent = program.command(kind).summary(`${list}: ${kind} forget NAME`)
    const forgetting = withWho(
      parent.command('forget').argument('<NAME>', `the ${kind}, as \`meridian status\` names it`),
    )
      .summary(`remove a ${kind} that is gone for good`)
      .description(`Removes a ${kind} that is gone for good from all nodes: ${effect}.`)
      .action(async (name: string, options: OverrideFlags, command: Command) => {
        const { forget, whoAmI } = await import('./override.ts')
        const who = options.who ?? whoAmI()
        onExit(await forget({ ...controlOf(options, await settingsOf(command, output)), kind, name, who }, output))
      })
    withExamples(forgetting, `meridian ${kind} forget ${example}`)
  }
  addForget('prober', 'the roster of probers', 'quorums no longer count it', 'probe-ap-2')
  addForget('node', 'the nodes of the fleet', 'none waits for it, and no alarm is raised for its silence', 'ap-2')
}

function addGeo(program: Command, output: Output, onExit: OnExitCode): void {
  const geo = program.command('geo').summary('databases that are held back: geo accept')
  const accepting = withWho(geo.command('accept'))
    .summary('use new databases that a node holds back (`geo-held`)')
    .description(
      'Uses the databases that this node holds back (`geo-held`), however many clients they move; later ones are held back again.',
    )
    .action(async (options: OverrideFlags, command: Command) => {
      const { acceptGeo, whoAmI } = await import('./override.ts')
      const who = options.who ?? whoAmI()
      onExit(await acceptGeo({ ...controlOf(options, await settingsOf(command, output)), who }, output))
    })
  withExamples(accepting, 'meridian geo accept')
}

function addZones(program: Command, output: Output, onExit: OnExitCode): void {
  const zones = program.command('zones').summary('zones that are held back: zones accept')
  const accepting = withWho(zones.command('accept'))
    .summary('use new zones that `zones.maxMove` holds back')
    .description(
      'Uses the zones that the setting zones.maxMove holds back at this node, however many clients they move; later ones are held back again.',
    )
    .action(async (options: OverrideFlags, command: Command) => {
      const { acceptZones, whoAmI } = await import('./override.ts')
      const who = options.who ?? whoAmI()
      onExit(await acceptZones({ ...controlOf(options, await settingsOf(command, output)), who }, output))
    })
  withExamples(accepting, 'meridian zones accept')
}

function addNotify(program: Command, output: Output, onExit: OnExitCode): void {
  const notify = program.command('notify').summary('receivers of notifications: notify test')
  const testing = withSettings(notify.command('test').argument('<RECEIVER>', 'its name in the setting notify'), [])
    .summary('send a test message to a receiver of the setting `notify`')
    .description(
      'Sends one message to a receiver of the setting notify, from this machine and at once, whatever its filters; exits with 1 if it is not taken. The node need not run.',
    )
    .action(async (name: string, _options: SharedFlags, command: Command) => {
      const config = await settingsOf(command, output)
      const { testReceiver } = await import('./notify.ts')
      onExit(await testReceiver(name, config, output))
    })
  withExamples(testing, 'meridian notify test ops', 'meridian notify test ops -c /etc/meridian/meridian.yaml')
}
