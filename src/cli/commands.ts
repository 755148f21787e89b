/**
 * The command line: each command's arguments, and what they are turned into. README's table of commands is held to this
 * by a test.
 */
import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Command, CommanderError, Option } from 'commander'
import type { BuildSettings } from '../answer/build.ts'
import {
  type Config,
  type Endpoint,
  flagOf,
  givenText,
  parseEndpoint,
  SETTING_KEYS,
  SETTINGS,
  type SettingKey,
} from '../config.ts'
import type { OrderAction } from '../http/order.ts'
import { formatProblem } from '../problem.ts'
import { SCHEMA_FILES } from '../zone/schema.ts'
import { check, type Format, FORMATS, refuseSettings } from './check.ts'
import { ControlError } from './control.ts'
import { demo } from './demo.ts'
import { StartError } from './doors.ts'
import { explain } from './explain.ts'
import type { Output } from './output.ts'
import { acceptGeo, forget, outlook, override, whoAmI } from './override.ts'
import { parsePercent } from '../units.ts'
import { type PlanFormat, PLAN_FORMATS, plan } from './plan.ts'
import { probe, serve, type UntilSignal } from './serve.ts'
import { loadSettings, type Role, type Settings } from './settings.ts'
import { probeSettings } from './store.ts'
import { schema } from './schema.ts'
import { status } from './status.ts'
import { VERSION } from './view.ts'

/** Exit codes: what a script may rely on. */
const OK = 0
const FAILED = 1
const USAGE = 2

interface Shared {
  readonly config?: string
  readonly json?: boolean
  readonly at?: string
  readonly token?: string
}

/** Settings were wrong; they have been told. */
class SettingsError extends Error {}

/** Runs one command line (without node and script); resolves to the exit code. A bug throws. `untilSignal`: when servers end. */
export async function run(args: readonly string[], output: Output, untilSignal: UntilSignal): Promise<number> {
  let code = OK
  const program = makeProgram(output, untilSignal, (result) => (code = result))
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? OK : USAGE
    if (error instanceof SettingsError) return FAILED
    if (error instanceof StartError) {
      for (const problem of error.problems) output.err(formatProblem(problem))
      output.err(`meridian: ${error.message}`)
      return FAILED
    }
    if (error instanceof ControlError) {
      output.err(`meridian: ${error.message}`)
      return FAILED
    }
    throw error
  }
}

export function makeProgram(output: Output, untilSignal: UntilSignal, ended: (code: number) => void): Command {
  const program = new Command('meridian')
    .description("A global DNS load balancer: answers each query with the nearest healthy site's VIP")
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeOut: (text) => output.out(text.trimEnd()), writeErr: (text) => output.err(text.trimEnd()) })
  addServers(program, output, untilSignal, ended)
  addQuestions(program, output, ended)
  addOrders(program, output, ended)
  addGeo(program, output, ended)
  program
    .command('schema')
    .argument('[FILE]', `one of ${SCHEMA_FILES.join(', ')}; all without`)
    .summary('JSON Schemas of the YAML files, for editors')
    .description('Prints the JSON Schemas of zone files, defaults.yaml, sites.yaml, services.yaml and meridian.yaml.')
    .option('--out <DIR>', 'write them there, as zone.json and so on')
    .action((name: string | undefined, { out }: { out?: string }, command: Command) => {
      const file = SCHEMA_FILES.find((one) => one === name)
      if (name !== undefined && file === undefined) command.error(`error: there is no schema ${name}`)
      ended(schema({ ...(file !== undefined && { file }), ...(out !== undefined && { out }) }, output))
    })
  program
    .command('demo')
    .summary('three sites and a node on loopback addresses, and what to try')
    .description('Starts three small sites and a node on loopback addresses, and prints what to try.')
    .action(async () => ended(await demo(output, untilSignal)))
  return program
}

type Ended = (code: number) => void

/** Commands that run until a signal ends them. */
function addServers(program: Command, output: Output, untilSignal: UntilSignal, ended: Ended): void {
  withSettings(program.command('serve'))
    .summary('answer queries, and probe the sites')
    .description('Answers queries, and probes the sites unless told otherwise. SIGHUP loads again; SIGTERM ends it.')
    .option('--takeover', 'start beside a node on the same addresses, which then can be ended without losing a query')
    .action(async (options: Shared & { takeover?: boolean }, command: Command) => {
      const config = settingsOf(command, output, 'serve')
      ended(await serve({ config, takeover: options.takeover === true }, untilSignal))
    })

  withSettings(program.command('probe'))
    .summary('only probe the sites, and tell the nodes through Redis')
    .description(
      'Probes the sites and tells its votes through Redis; answers no query. SIGHUP loads again; SIGTERM ends it.',
    )
    .action(async (_options: Shared, command: Command) => {
      ended(await probe(settingsOf(command, output, 'probe'), untilSignal))
    })
}

/** Commands that change nothing. */
function addQuestions(program: Command, output: Output, ended: Ended): void {
  withSettings(program.command('check').argument('[DIR]', 'folder of zones; the setting `zones` without'))
    .summary('load and compile zones without serving')
    .description(
      'Loads and compiles zones and databases as serve does. Exits with 1 and all problems if there are errors.',
    )
    .option('--json', 'machine-readable: the same as --format json')
    .option('--strict', 'exit with 1 for warnings too')
    .option('--parent <ADDRESS[:PORT]>', 'a server of the parent zones, to compare each delegation with')
    .addOption(new Option('--format <FORMAT>', 'how problems are written').choices(FORMATS).default('text'))
    .action(async (dir: string | undefined, options: Checking, command: Command) => {
      const format = options.json === true ? 'json' : options.format
      const { config, problems } = readSettings(command)
      if (config === undefined) return ended(refuseSettings(problems, format, output))
      const parent = options.parent === undefined ? undefined : parseParent(options.parent)
      if (options.parent !== undefined && parent === undefined) {
        command.error(`error: --parent ${options.parent} is no address: 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53`)
      }
      const checked = {
        ...filesOf(config, dir),
        // a folder that is named is checked by itself; the settings' own, against this node's prober too
        ...(dir === undefined && config['probe.enabled'] && { probe: probeSettings(config) }),
        format,
        strict: options.strict === true,
        ...(parent !== undefined && { parent }),
        problems,
      }
      ended(await check(checked, output))
    })

  addPlan(program, output, ended)

  asksNode(program.command('explain').argument('<NAME>', 'the name that is asked for'))
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
    .action(async (name: string, options: Shared & Asked, command: Command) => {
      if (options.offline === true && options.at !== undefined)
        command.error('error: --offline asks no node: leave --at out')
      const { client, type, down, drain, ecs, resolver } = options
      const question = { name, client, type, down, drain, ecs, ...(resolver !== undefined && { resolver }) }
      const config = settingsOf(command, output)
      const files = filesOf(config)
      const how = { offline: options.offline === true, wire: options.wire === true }
      ended(await explain({ ...controlOf(options, config), question, files, ...how }, output))
    })

  asksNode(program.command('status'))
    .summary('services, members, votes and the fleet, as a node sees them; or what a prober probes')
    .description(
      'Services, members, votes, overrides, probers and nodes, as a node sees them, what wants attention first; of a prober, its targets. Exits with 1 while it is not ready.',
    )
    .action(async (options: Shared, command: Command) => {
      ended(await status(controlOf(options, settingsOf(command, output)), output))
    })
}

interface Planning extends Shared {
  readonly geo?: readonly string[]
  readonly down: readonly string[]
  readonly drain: readonly string[]
  readonly population?: string
  readonly clients?: string
  readonly maxMove?: string
  readonly format: string
}

function addPlan(program: Command, output: Output, ended: Ended): void {
  withSettings(
    program
      .command('plan')
      .argument('[OLD]', 'folder of zones, or a revision: main, HEAD~1, REV:PATH')
      .argument('[NEW]', 'the same; the setting `zones` without'),
  )
    .summary('what a change does to clients before it is merged')
    .description(
      'Compares two states of zones, or of databases: which records differ, and which share of clients moves from which site to which.',
    )
    .option('--geo <OLD NEW...>', 'compare these databases; IPv4 and IPv6 apart with a comma')
    .option('--down <SITE>', 'take this site for dead on the new side; may be repeated', collect, [])
    .option('--drain <SITE>', 'take this site for drained on the new side; may be repeated', collect, [])
    .option('--population <FILE>', 'CSV of country and weight, in place of address space')
    .option('--clients <FILE>', 'CSV of prefix and number of clients, in place of address space')
    .option('--max-move <PERCENT>', 'exit with 1 when more of the clients of any name move, e.g. 5%')
    .option('--format <FORMAT>', PLAN_FORMATS.join(', '), 'text')
    .option('--json', 'the same as --format json')
    .action(async (old: string | undefined, now: string | undefined, options: Planning, command: Command) => {
      ended(await plan(planCommand([old, now], options, command, output), output))
    })
}

/** What was asked for; wrong usage ends the command. */
function planCommand(
  positions: readonly (string | undefined)[],
  options: Planning,
  command: Command,
  output: Output,
): Parameters<typeof plan>[0] {
  const { geo = [], down, drain, population, clients, json } = options
  // --geo takes all words behind it: those beyond two are the sides
  const [old, now, ...more] = [...positions.filter((side) => side !== undefined), ...geo.slice(2)]
  if (more.length > 0) command.error(`error: two sides are compared, not ${2 + more.length}`)
  if (geo.length === 1) command.error('error: --geo takes two databases: --geo OLD NEW')
  if (old === undefined && geo.length === 0 && down.length + drain.length === 0) {
    command.error('error: nothing to compare: name OLD, or --geo, --down or --drain')
  }
  if (population !== undefined && clients !== undefined) {
    command.error('error: --population and --clients are two ways to say who the clients are')
  }
  const maxMove = options.maxMove === undefined ? undefined : parsePercent(options.maxMove)
  if (options.maxMove !== undefined && maxMove === undefined) {
    command.error(`error: --max-move takes a percentage like 5%, not ${options.maxMove}`)
  }
  const format = json === true ? 'json' : PLAN_FORMATS.find((known): known is PlanFormat => known === options.format)
  if (format === undefined) command.error(`error: --format takes ${PLAN_FORMATS.join(', ')}`)
  const config = settingsOf(command, output)
  const nodeSite = config['node.site']
  const files = (side: string | undefined): readonly string[] => side?.split(',') ?? config['geo.city']
  return {
    zones: asSeenFromHere(config.zones),
    old,
    new: now,
    cityOld: files(geo[0]),
    cityNew: files(geo[1]),
    asn: config['geo.asn'],
    ...(existsSync(config.state) && { cache: join(config.state, 'cache') }),
    ...(nodeSite !== undefined && { nodeSite }),
    down,
    drain,
    ...(population !== undefined && { population }),
    ...(clients !== undefined && { clients }),
    ...(maxMove !== undefined && { maxMove }),
    format,
  }
}

/** Commands that tell all nodes, through the one on this machine, what stands above votes. */
function addOrders(program: Command, output: Output, ended: Ended): void {
  const carryOut = async (pattern: string, action: OrderAction, options: Ordering, command: Command): Promise<void> => {
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
    ended(await override({ ...controlOf(options, settingsOf(command, output)), ...asked }, output))
  }

  ordersNode(program.command('drain').argument('<PATTERN>', PATTERN))
    .summary('send clients elsewhere, and keep it as what is left when all else is down')
    .description('Drains the members of SITE[/SERVICE[/VIP]]: clients go elsewhere while anything else is up.')
    .option('--for <TIME>', 'how long, e.g. 30m, 2h; until undone without')
    .option('--why <TEXT>', 'why; must be said')
    .option('--yes', 'also when less than `keep` of a service would be left')
    .option('--dry-run', 'only tell what would be left; exits with 1 when it is not safe')
    .action(async (pattern: string, options: Ordering & { dryRun?: boolean }, command: Command) => {
      if (options.dryRun !== true) return carryOut(pattern, 'drain', options, command)
      ended(await outlook({ ...controlOf(options, settingsOf(command, output)), pattern }, output))
    })

  ordersNode(program.command('undrain').argument('<PATTERN>', PATTERN))
    .summary('undo a drain')
    .description('Undoes a drain of the same pattern.')
    .action((pattern: string, options: Ordering, command: Command) => carryOut(pattern, 'undrain', options, command))

  ordersNode(program.command('force').argument('<PATTERN>', PATTERN))
    .argument('<STATE>', 'up or down, whatever the votes say; off: undo that')
    .summary('take it for up or down whatever the votes say, or undo that (off)')
    .description(
      'Takes the members of SITE[/SERVICE[/VIP]] for up, or for down, whatever the votes say; `off` undoes it.',
    )
    .option('--for <TIME>', 'how long, e.g. 30m, 2h; until undone without')
    .option('--why <TEXT>', 'why; must be said for up and down')
    .option('--yes', 'also when less than `keep` of a service would be left')
    .action(async (pattern: string, state: string, options: Ordering, command: Command) => {
      if (state !== 'up' && state !== 'down' && state !== 'off') command.error('error: force takes up, down or off')
      else await carryOut(pattern, state, options, command)
    })

  const prober = program.command('prober').summary('the roster of probers: prober forget NAME')
  ordersNode(prober.command('forget').argument('<NAME>', 'the prober, as `meridian status` names it'))
    .summary('take a prober that is gone for good from the roster')
    .description(
      'Takes a prober that is gone for good from the rosters of all nodes, so that quorums no longer wait for it.',
    )
    .action(async (name: string, options: Ordering, command: Command) => {
      const who = options.who ?? whoAmI()
      ended(await forget({ ...controlOf(options, settingsOf(command, output)), prober: name, who }, output))
    })
}

function addGeo(program: Command, output: Output, ended: Ended): void {
  const geo = program.command('geo').summary('databases that are held back: geo accept')
  ordersNode(geo.command('accept'))
    .summary('use new databases that `geo.maxMove` holds back')
    .description(
      'Uses the databases that the setting geo.maxMove holds back at this node, whatever they move; no later ones.',
    )
    .action(async (options: Ordering, command: Command) => {
      const who = options.who ?? whoAmI()
      ended(await acceptGeo({ ...controlOf(options, settingsOf(command, output)), who }, output))
    })
}

interface Checking extends Shared {
  readonly strict?: boolean
  readonly parent?: string
  readonly format: Format
}

/** Port 53 unless written; IPv6 in brackets where a port follows. */
const parseParent = (text: string): Endpoint | undefined =>
  parseEndpoint(text) ?? parseEndpoint(`${text}:53`) ?? parseEndpoint(`[${text}]:53`)

const PATTERN = 'SITE, SITE/SERVICE or SITE/SERVICE/VIP'

interface Ordering extends Shared {
  readonly for?: string
  readonly why?: string
  readonly who?: string
  readonly yes?: boolean
}

const ordersNode = (command: Command): Command =>
  asksNode(command).option('--who <NAME>', 'who says so (default: you, at this host)')

/** Problems name files as an operator would: short where they are below. */
function asSeenFromHere(path: string): string {
  const way = relative(process.cwd(), path)
  return way === '' ? '.' : way.startsWith('..') ? path : way
}

interface Asked {
  readonly client: string
  readonly type: string
  readonly down: readonly string[]
  readonly drain: readonly string[]
  readonly resolver?: string
  readonly ecs: boolean
  readonly offline?: boolean
  readonly wire?: boolean
}

/** What a command loads by itself, as the settings name it; `dir` in place of their folder of zones. */
function filesOf(config: Config, dir?: string) {
  const nodeSite = config['node.site']
  return {
    zones: dir ?? asSeenFromHere(config.zones),
    city: config['geo.city'],
    asn: config['geo.asn'],
    ...(existsSync(config.state) && { cache: join(config.state, 'cache') }),
    ...(nodeSite !== undefined && { nodeSite }),
  } satisfies BuildSettings
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

function asksNode(command: Command): Command {
  return withSettings(command)
    .option('--at <ADDRESS>', 'ask another node, at its http.listen, e.g. 192.0.2.1:8053')
    .option('--token <TOKEN>', 'its http.token; MERIDIAN_HTTP_TOKEN without')
    .option('--json', 'machine-readable')
}

function controlOf(options: Shared, config: Config) {
  const token = options.token ?? config['http.token']
  return {
    state: config.state,
    ...(options.at !== undefined && { at: options.at }),
    ...(token !== undefined && { token }),
    json: options.json === true,
  }
}

function withSettings(command: Command): Command {
  command.option('-c, --config <FILE>', 'settings file (default: meridian.yaml, if it is there)')
  command.optionsGroup('Settings (docs/settings.md):')
  for (const key of SETTING_KEYS) {
    const { list, meaning } = SETTINGS[key]
    const merge = (value: string, before: string | undefined): string =>
      list && before !== undefined ? `${before},${value}` : value
    command.option(`${flagOf(key)} <VALUE>`, meaning, merge)
  }
  return command.optionsGroup('Options:')
}

/** Tells all problems; throws SettingsError when there is an error among them. */
function settingsOf(command: Command, output: Output, role?: Role): Config {
  const { config, problems } = readSettings(command, role)
  for (const problem of problems) output.err(formatProblem(problem))
  if (config === undefined) throw new SettingsError()
  return config
}

function readSettings(command: Command, role?: Role): Settings {
  const options: Readonly<Record<string, string | undefined>> = command.opts()
  const flags = SETTING_KEYS.flatMap((key: SettingKey) => {
    const value = options[camelCase(flagOf(key))]
    return value === undefined ? [] : [givenText(key, value, flagOf(key))]
  })
  return loadSettings({ file: options['config'], env: process.env, flags, role })
}

/** As commander names an option: `--geo-city` → `geoCity`. */
const camelCase = (flag: string): string =>
  flag.replace(/^--/, '').replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
