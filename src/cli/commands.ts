/**
 * The command line: each command's arguments, and what they are turned into. README's table of commands is held to this
 * by a test.
 */
import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Command, CommanderError } from 'commander'
import { type Config, flagOf, givenText, SETTING_KEYS, SETTINGS, type SettingKey } from '../config.ts'
import { formatProblem } from '../problem.ts'
import { check } from './check.ts'
import { ControlError } from './control.ts'
import { demo } from './demo.ts'
import { explain } from './explain.ts'
import { StartError } from './node.ts'
import type { Output } from './output.ts'
import { serve, type UntilSignal } from './serve.ts'
import { loadSettings } from './settings.ts'
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

  withSettings(program.command('serve'))
    .summary('answer queries, and probe the sites')
    .description('Answers queries, and probes the sites unless told otherwise. SIGHUP loads again; SIGTERM ends it.')
    .option('--takeover', 'start beside a node on the same addresses, which then can be ended without losing a query')
    .action(async (options: Shared & { takeover?: boolean }, command: Command) => {
      const config = settingsOf(command, output)
      ended(await serve({ config, takeover: options.takeover === true }, untilSignal))
    })

  withSettings(program.command('check').argument('[DIR]', 'folder of zones; the setting `zones` without'))
    .summary('load and compile zones without serving')
    .description(
      'Loads and compiles zones and databases as serve does. Exits with 1 and all problems if there are errors.',
    )
    .option('--json', 'machine-readable')
    .action(async (dir: string | undefined, options: Shared, command: Command) => {
      const config = settingsOf(command, output)
      const nodeSite = config['node.site']
      const checked = {
        zones: dir ?? asSeenFromHere(config.zones),
        city: config['geo.city'],
        ...(existsSync(config.state) && { cache: join(config.state, 'cache') }),
        ...(nodeSite !== undefined && { nodeSite }),
        json: options.json === true,
      }
      ended(await check(checked, output))
    })

  asksNode(program.command('explain').argument('<NAME>', 'the name that is asked for'))
    .summary('why a client gets its answer')
    .description('Tells why a client gets its answer: place, rule, distances, groups, health, TTL, scope.')
    .requiredOption('--client <IP>', 'address of the client')
    .option('--type <TYPE>', 'type of the query', 'A')
    .option('--down <SITE>', 'take this site for down; may be repeated', collect, [])
    .action(async (name: string, options: Shared & Asked, command: Command) => {
      const question = { name, client: options.client, type: options.type, down: options.down }
      ended(await explain({ ...controlOf(options, command, output), question }, output))
    })

  asksNode(program.command('status'))
    .summary('sites, services, members and votes, as a node sees them')
    .description('Sites, services, members and votes, as a node sees them. Exits with 1 while it is not ready.')
    .action(async (options: Shared, command: Command) => {
      ended(await status(controlOf(options, command, output), output))
    })

  program
    .command('demo')
    .summary('three sites and a node on loopback addresses, and what to try')
    .description('Starts three small sites and a node on loopback addresses, and prints what to try.')
    .action(async () => ended(await demo(output, untilSignal)))

  return program
}

/** Problems name files as an operator would: short where they are below. */
function asSeenFromHere(path: string): string {
  const way = relative(process.cwd(), path)
  return way === '' ? '.' : way.startsWith('..') ? path : way
}

interface Asked {
  readonly client: string
  readonly type: string
  readonly down: readonly string[]
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

function asksNode(command: Command): Command {
  return withSettings(command)
    .option('--at <URL>', 'ask another node, at its http.listen, e.g. http://192.0.2.1:8053')
    .option('--token <TOKEN>', 'its http.token; MERIDIAN_HTTP_TOKEN without')
    .option('--json', 'machine-readable')
}

function controlOf(options: Shared, command: Command, output: Output) {
  const config = settingsOf(command, output)
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
function settingsOf(command: Command, output: Output): Config {
  const options: Readonly<Record<string, string | undefined>> = command.opts()
  const flags = SETTING_KEYS.flatMap((key: SettingKey) => {
    const value = options[camelCase(flagOf(key))]
    return value === undefined ? [] : [givenText(key, value, flagOf(key))]
  })
  const { config, problems } = loadSettings({ file: options['config'], env: process.env, flags })
  for (const problem of problems) output.err(formatProblem(problem))
  if (config === undefined) throw new SettingsError()
  return config
}

/** As commander names an option: `--geo-city` → `geoCity`. */
const camelCase = (flag: string): string =>
  flag.replace(/^--/, '').replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
