/**
 * The command line of commands that work on files and need no node: check, plan, import, schema and token. Called by commands.ts; what
 * a command does is in its own file, loaded when it runs. Wrong usage ends with exit code 2.
 */
import { Argument, type Command, Option } from 'commander'
import { SCOPES, SETTING_KEYS } from '../config.ts'
import { type Endpoint, familiesOf, parseEndpoint, parsePercent } from '../units.ts'
import type { SchemaFile } from '../load/schema.ts'
import {
  type Format,
  FORMATS,
  IMPORT_FORMATS,
  type ImportFormat,
  type PlanFormat,
  PLAN_FORMATS,
  SCHEMA_FILES,
} from './formats.ts'
import {
  collect,
  type OnExitCode,
  filesOf,
  LOAD_SETTINGS,
  readSettings,
  settingsOf,
  type SharedFlags,
  withExamples,
  withSettings,
} from './options.ts'
import type { Output } from './output.ts'
import type { PlanCommand } from './plan.ts'

/** Adds check, plan, import, schema and token. */
export function addZoneCommands(program: Command, output: Output, onExit: OnExitCode): void {
  addCheck(program, output, onExit)
  addPlan(program, output, onExit)
  addImport(program, output, onExit)
  const schemas = program
    .command('schema')
    .addArgument(new Argument('[FILE]', 'only the schema of this file').choices(SCHEMA_FILES))
    .summary('JSON Schemas of the YAML files, for editors')
    .description(
      'Prints the JSON Schemas of zone files, defaults.yaml, sites.yaml, services.yaml, drills.yaml and meridian.yaml.',
    )
    .option('--out <DIR>', 'write them to this folder, as zone.json and so on')
    .action(async (file: SchemaFile | undefined, { out }: { out?: string }) => {
      const { schema } = await import('./schema.ts')
      onExit(schema({ ...(file !== undefined && { file }), ...(out !== undefined && { out }) }, output))
    })
  withExamples(schemas, 'meridian schema zone', 'meridian schema --out .vscode/schemas')
  const tokens = program
    .command('token')
    .argument('<NAME>', 'whose it is: a person, a team, a program; it stands behind `who` in all that is done with it')
    .summary('make a token of the HTTP API, and the line for the file of `http.tokens`')
    .description(
      'Makes a token for commands and programs that ask a node over TCP. Prints its secret, which is stored nowhere, and on stderr the line with its hash for the file of the setting http.tokens.',
    )
    .requiredOption('--scopes <LIST>', `what it may be used for, with commas: ${SCOPES.join(', ')}`)
    .option('--json', 'print JSON: `secret` and `line`')
    .action(async (name: string, { scopes, json = false }: { scopes: string; json?: boolean }) => {
      const { token } = await import('./token.ts')
      onExit(token({ name, scopes, json }, output))
    })
  withExamples(tokens, 'meridian token board --scopes read', 'meridian token ops --scopes read,drain,force')
}

interface CheckFlags extends SharedFlags {
  readonly strict?: boolean
  readonly parent?: string
  readonly regions?: string
  readonly format: Format
}

/** Reads an address with an optional port (53); IPv6 stands in brackets before a port. */
const parseParent = (text: string): Endpoint | undefined =>
  parseEndpoint(text) ?? parseEndpoint(`${text}:53`) ?? parseEndpoint(`[${text}]:53`)

/** The zones are checked against this node's prober, too. */
const CHECK_SETTINGS = [...LOAD_SETTINGS, ...SETTING_KEYS.filter((key) => key.startsWith('probe.'))]

function addCheck(program: Command, output: Output, onExit: OnExitCode): void {
  const folder = program.command('check').argument('[DIR]', 'folder of zones (default: the setting `zones`)')
  const checking = withSettings(folder, CHECK_SETTINGS)
    .summary('load and compile zones without serving')
    .description(
      'Loads and compiles zones and databases as serve does. Exits with 1 and all problems if there are errors. With -c, or settings in /etc, it also tells what this host lacks for them.',
    )
    .option('--json', 'machine-readable: the same as --format json')
    .option('--strict', 'exit with 1 for warnings, too')
    .option('--parent <ADDRESS[:PORT]>', 'a server of the parent zones, to compare each delegation with')
    .option('--regions <NAMES>', 'the regions that have probers, with commas, to compare with `regions` of services')
    .addOption(new Option('--format <FORMAT>', 'how problems are written').choices(FORMATS).default('text'))
    .action(async (dir: string | undefined, options: CheckFlags, command: Command) => {
      const format = options.json === true ? 'json' : options.format
      const { config, problems, file } = await readSettings(command)
      const [{ check, refuseSettings }, { probeSettings }, { hostProblems, thisHost }] = await Promise.all([
        import('./check.ts'),
        import('../node/wiring.ts'),
        import('../node/host.ts'),
      ])
      if (config === undefined) return onExit(refuseSettings(problems, format, output))
      const parent = options.parent === undefined ? undefined : parseParent(options.parent)
      if (options.parent !== undefined && parent === undefined) {
        command.error(`error: --parent ${options.parent} is no address: 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53`)
      }
      // a file beside zones, in a repository, says nothing of where it is checked
      const isOfHost = dir === undefined && (options.config !== undefined || file?.startsWith('/etc/') === true)
      const checked = {
        ...filesOf(config, dir),
        // the folder of the settings is checked against this node's prober, too; a named one only by itself
        ...(dir === undefined && { tsigKeys: Object.keys(config['tsig.keys']) }),
        ...(dir === undefined && { maxForMs: config['overrides.maxFor'] }),
        ...(dir === undefined && config['probe.enabled'] && { probe: probeSettings(config) }),
        listens: dir === undefined || config['geo.city'].length > 0 ? familiesOf(config.listen) : [],
        format,
        strict: options.strict === true,
        ...(parent !== undefined && { parent }),
        ...(options.regions !== undefined && {
          regions: options.regions.split(/[\s,]+/).filter((region) => region !== ''),
        }),
        problems: [...problems, ...(isOfHost ? hostProblems(config, thisHost(config.state)) : [])],
      }
      onExit(await check(checked, output))
    })
  withExamples(
    checking,
    'meridian check zones',
    'meridian check zones --format github --strict',
    'meridian check --parent 192.0.2.1',
  )
}

interface PlanFlags extends SharedFlags {
  readonly geo?: readonly string[]
  readonly down: readonly string[]
  readonly drain: readonly string[]
  readonly population?: string
  readonly clients?: string
  readonly maxMove?: string
  readonly format: PlanFormat
}

function addPlan(program: Command, output: Output, onExit: OnExitCode): void {
  const sides = program
    .command('plan')
    .argument('[OLD]', 'folder of zones, or a revision: main, HEAD~1, REV:PATH')
    .argument('[NEW]', 'the same (default: the setting `zones`)')
  const planning = withSettings(sides, LOAD_SETTINGS)
    .summary('what a change does to clients before it is merged')
    .description(
      'Compares two states of zones, or of databases: which records differ, and which share of clients moves from which site to which.',
    )
    .option('--geo <OLD NEW...>', 'compare these databases; join separate IPv4 and IPv6 files with a comma')
    .option('--down <SITE>', 'treat this site as down on the new side; may be repeated', collect, [])
    .option('--drain <SITE>', 'treat this site as drained on the new side; may be repeated', collect, [])
    .option('--population <FILE>', 'weigh clients by this CSV of country and weight, not by address space')
    .option('--clients <FILE>', 'count clients by this query log, or CSV of prefix and number, not by address space')
    .option('--max-move <PERCENT>', 'exit with 1 when more of the clients of any name move, e.g. 5%')
    .addOption(new Option('--format <FORMAT>', 'how the plan is written').choices(PLAN_FORMATS).default('text'))
    .option('--json', 'the same as --format json')
    .action(async (old: string | undefined, now: string | undefined, options: PlanFlags, command: Command) => {
      const wanted = await planCommand([old, now], options, command, output)
      const { plan } = await import('./plan.ts')
      onExit(await plan(wanted, output))
    })
  withExamples(
    planning,
    'meridian plan main',
    'meridian plan HEAD~1 HEAD --max-move 5% --format markdown',
    'meridian plan --geo old.mmdb new.mmdb',
  )
}

function addImport(program: Command, output: Output, onExit: OnExitCode): void {
  const importing = program
    .command('import')
    .addArgument(new Argument('<FORMAT>', 'what it is written for').choices(IMPORT_FORMATS))
    .argument('<PATH>', 'a file or a folder of that server, see docs/import.md')
    .summary('zones from gdnsd, master files (BIND), PowerDNS geoip or Route 53')
    .description(
      'Prints the configuration of another server as a folder of zones. What could not be taken over goes to stderr, with file and line; exits with 1 if something could not be read.',
    )
    .option('--origin <ZONE>', 'the zone of a master file that is not named after it')
    .option('--out <DIR>', 'write the files to this folder, but over no other file')
    .action(async (format: ImportFormat, path: string, options: { origin?: string; out?: string }) => {
      const { importFiles } = await import('./import.ts')
      onExit(await importFiles({ format, path, ...options }, output))
    })
  withExamples(
    importing,
    'meridian import gdnsd /etc/gdnsd --out zones',
    'meridian import bind /var/named/db.example.com --origin example.com',
    'meridian import route53 record-sets.json',
  )
}

/** The options of plan() from the command line; wrong usage ends the command. */
async function planCommand(
  positions: readonly (string | undefined)[],
  options: PlanFlags,
  command: Command,
  output: Output,
): Promise<PlanCommand> {
  const { geo = [], down, drain, population, clients, json } = options
  // commander gives --geo all following words: those after the second are the sides
  const [old, now, ...more] = [...positions.filter((side) => side !== undefined), ...geo.slice(2)]
  if (more.length > 0) command.error(`error: plan compares two sides, not ${2 + more.length}`)
  if (geo.length === 1) command.error('error: --geo takes two databases: --geo OLD NEW')
  if (old === undefined && geo.length === 0 && down.length + drain.length === 0) {
    command.error('error: nothing to compare: name OLD, or --geo, --down or --drain')
  }
  if (population !== undefined && clients !== undefined) {
    command.error('error: use either --population or --clients, not both')
  }
  const maxMove = options.maxMove === undefined ? undefined : parsePercent(options.maxMove)
  if (options.maxMove !== undefined && maxMove === undefined) {
    command.error(`error: --max-move takes a percentage like 5%, not ${options.maxMove}`)
  }
  const format = json === true ? 'json' : options.format
  const config = await settingsOf(command, output)
  const { city, ...files } = filesOf(config)
  const cityOf = (side: string | undefined): readonly string[] => side?.split(',') ?? city
  return {
    ...files,
    old,
    new: now,
    cityOld: cityOf(geo[0]),
    cityNew: cityOf(geo[1]),
    down,
    drain,
    ...(population !== undefined && { population }),
    ...(clients !== undefined && { clients }),
    ...(maxMove !== undefined && { maxMove }),
    format,
  }
}
