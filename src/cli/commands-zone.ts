/** The commands about files, which need no node: check, plan and schema. */
import { type Command, Option } from 'commander'
import { SCHEMA_FILES } from '../load/schema.ts'
import { probeSettings } from '../node/wiring.ts'
import { type Endpoint, parseEndpoint, parsePercent } from '../units.ts'
import { check, type Format, FORMATS, refuseSettings } from './check.ts'
import {
  collect,
  type OnExitCode,
  filesOf,
  readSettings,
  settingsOf,
  type SharedFlags,
  withSettings,
} from './options.ts'
import type { Output } from './output.ts'
import { type PlanFormat, PLAN_FORMATS, plan } from './plan.ts'
import { schema } from './schema.ts'

export function addZoneCommands(program: Command, output: Output, onExit: OnExitCode): void {
  addCheck(program, output, onExit)
  addPlan(program, output, onExit)
  program
    .command('schema')
    .argument('[FILE]', `one of ${SCHEMA_FILES.join(', ')}; all without`)
    .summary('JSON Schemas of the YAML files, for editors')
    .description('Prints the JSON Schemas of zone files, defaults.yaml, sites.yaml, services.yaml and meridian.yaml.')
    .option('--out <DIR>', 'write them there, as zone.json and so on')
    .action((name: string | undefined, { out }: { out?: string }, command: Command) => {
      const file = SCHEMA_FILES.find((one) => one === name)
      if (name !== undefined && file === undefined) command.error(`error: there is no schema ${name}`)
      onExit(schema({ ...(file !== undefined && { file }), ...(out !== undefined && { out }) }, output))
    })
}

interface CheckFlags extends SharedFlags {
  readonly strict?: boolean
  readonly parent?: string
  readonly format: Format
}

/** Port 53 unless written; IPv6 in brackets where a port follows. */
const parseParent = (text: string): Endpoint | undefined =>
  parseEndpoint(text) ?? parseEndpoint(`${text}:53`) ?? parseEndpoint(`[${text}]:53`)

function addCheck(program: Command, output: Output, onExit: OnExitCode): void {
  withSettings(program.command('check').argument('[DIR]', 'folder of zones; the setting `zones` without'))
    .summary('load and compile zones without serving')
    .description(
      'Loads and compiles zones and databases as serve does. Exits with 1 and all problems if there are errors.',
    )
    .option('--json', 'machine-readable: the same as --format json')
    .option('--strict', 'exit with 1 for warnings too')
    .option('--parent <ADDRESS[:PORT]>', 'a server of the parent zones, to compare each delegation with')
    .addOption(new Option('--format <FORMAT>', 'how problems are written').choices(FORMATS).default('text'))
    .action(async (dir: string | undefined, options: CheckFlags, command: Command) => {
      const format = options.json === true ? 'json' : options.format
      const { config, problems } = readSettings(command)
      if (config === undefined) return onExit(refuseSettings(problems, format, output))
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
      onExit(await check(checked, output))
    })
}

interface PlanFlags extends SharedFlags {
  readonly geo?: readonly string[]
  readonly down: readonly string[]
  readonly drain: readonly string[]
  readonly population?: string
  readonly clients?: string
  readonly maxMove?: string
  readonly format: string
}

function addPlan(program: Command, output: Output, onExit: OnExitCode): void {
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
    .action(async (old: string | undefined, now: string | undefined, options: PlanFlags, command: Command) => {
      onExit(await plan(planCommand([old, now], options, command, output), output))
    })
}

/** What was asked for; wrong usage ends the command. */
function planCommand(
  positions: readonly (string | undefined)[],
  options: PlanFlags,
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
