/**
 * The command line: commands, their arguments, and exit codes. Called by main.ts. A test holds docs/commands.md to it.
 * What goes wrong in an expected way ends with exit code 1 or 2 and a message; a bug throws. The work of a command is
 * loaded when it runs, so that no command waits for what another one needs.
 */
import { Argument, Command, CommanderError } from 'commander'
import { SETTING_KEYS, type SettingKey, SETTINGS, withoutLogins } from '../config.ts'
import type { Surroundings, UntilSignal } from '../node/run.ts'
import { formatProblem, StartError } from '../problem.ts'
import { parseEndpoint } from '../units.ts'
import { VERSION } from '../version.ts'
import { addNodeCommands } from './commands-node.ts'
import { addZoneCommands } from './commands-zone.ts'
import { ControlError, UsageError } from './control.ts'
import { type Shell, SHELLS } from './formats.ts'
import {
  collect,
  type OnExitCode,
  readSettings,
  SettingsError,
  type SharedFlags,
  withExamples,
  withSettings,
} from './options.ts'
import type { Output } from './output.ts'

/** Exit codes that scripts may rely on; 3 is NOT_KEPT of override.ts. */
const OK = 0
const FAILED = 1
const USAGE = 2

/**
 * Runs one command line, given without the program's name; resolves to the exit code. A bug throws. `untilSignal`:
 * resolves when servers are to end.
 */
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
      return error instanceof UsageError ? USAGE : FAILED
    }
    throw error
  }
}

/** Makes the parser of the command line. `onExit`: called with the exit code. */
export function makeProgram(output: Output, untilSignal: UntilSignal, onExit: (code: number) => void): Command {
  const program = new Command('meridian')
    .description("A global DNS load balancer: answers each query with the nearest healthy site's VIP")
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => output.out(text.trimEnd()),
      writeErr: (text) => output.err(withoutArguments(text.trimEnd())),
    })
  addServers(program, { untilSignal, err: (line) => output.err(line) }, onExit)
  addZoneCommands(program, output, onExit)
  addNodeCommands(program, output, onExit)
  withExamples(program.command('demo'), 'meridian demo')
    .summary('three sites and a node on loopback addresses, and what to try')
    .description('Starts three small sites and a node on loopback addresses, and prints what to try.')
    .action(async () => {
      const { demo } = await import('./demo.ts')
      onExit(await demo(output, untilSignal))
    })
  const shell = new Argument('<SHELL>', 'the shell that is to complete').choices(SHELLS)
  withExamples(program.command('completion').addArgument(shell), 'meridian completion bash')
    .summary('a script for bash, zsh or fish that completes the command line')
    .description('Prints a script that lets a shell complete commands, options and their values.')
    .action(async (wanted: Shell) => {
      const [{ completionOf }, { pagesOf }] = await Promise.all([import('./completion.ts'), import('./tree.ts')])
      output.out(completionOf(wanted, pagesOf(program)).trimEnd())
      onExit(OK)
    })
  return program
}

/** Removes values that may be secrets from commander's messages about a wrong command line. */
const withoutArguments = (text: string): string =>
  withoutLogins(text)
    .replace(/^([^']*unknown option '-[\w.-]*)=[^]*?'/, "$1=…'")
    .replace(/(but got \d+): [^]*/, '$1')

/** Settings that may be flags. */
const FLAGS = SETTING_KEYS.filter((key) => key === 'redis' || !('secret' in SETTINGS[key]))

/** Whether a process that only probes goes by a setting. */
const isOfProber = (key: SettingKey): boolean =>
  !/^(?:listen|threads|tcp\..*|geo\..*|zones\.maxMove|overrides\.maxFor|announce\..*|node\.site|probe\.enabled)$/.test(
    key,
  )

/** Whether a process that announces a node goes by a setting. */
const isOfAnnouncing = (key: SettingKey): boolean =>
  /^(?:listen|state|redis.*|node\.name|proxy\.from|announce\..*|log\..*)$/.test(key)

/** Whether the webhook provider of external-dns goes by a setting. */
const isOfExternalDns = (key: SettingKey): boolean => /^(?:zones|log\..*)$/.test(key)

interface ExternalDnsFlags {
  readonly cluster: string
  readonly domain: readonly string[]
  readonly webhook: string
  readonly expose: string
}

/** Commands that run until a signal ends them. */
function addServers(program: Command, surroundings: Surroundings, onExit: OnExitCode): void {
  const serving = withSettings(program.command('serve'), FLAGS)
    .summary('answer queries, and probe the sites')
    .description(
      'Answers queries, and probes the sites unless probe.enabled is false. SIGHUP reloads the files; SIGTERM ends it.',
    )
    .option('--takeover', 'start beside the node on the same addresses; then end that one, without losing a query')
    .action(async (options: SharedFlags & { takeover?: boolean }, command: Command) => {
      const settings = await readSettings(command, 'serve')
      const { serve } = await import('../node/run.ts')
      onExit(await serve(settings, options.takeover === true, surroundings))
    })
  withExamples(serving, 'meridian serve', 'meridian serve -c /etc/meridian/meridian.yaml --takeover')

  const announcing = withSettings(program.command('announce'), FLAGS.filter(isOfAnnouncing))
    .summary('announce the addresses of the node on this machine while it answers')
    .description(
      'Asks the node of these settings at each of its addresses, and has them announced (announce.form) while it answers. SIGTERM ends it, and withdraws them unless no other node is announced.',
    )
    .option('--withdraw', 'withdraw what an announce that was killed has left announced, and end')
    .action(async (options: SharedFlags & { withdraw?: boolean }, command: Command) => {
      const { config, problems } = await readSettings(command, 'announce')
      for (const problem of problems) surroundings.err(formatProblem(problem))
      if (config === undefined) throw new SettingsError()
      const { announce } = await import('../node/announce/run.ts')
      onExit(await announce(config, options.withdraw === true, surroundings))
    })
  withExamples(announcing, 'meridian announce -c /etc/meridian/meridian.yaml', 'meridian announce --withdraw')

  const transcribing = withSettings(program.command('external-dns'), FLAGS.filter(isOfExternalDns))
    .summary('zone files from Kubernetes: a webhook provider of external-dns')
    .description(
      'Takes the records that external-dns wants, checks the folder of zones with them, and writes them there as files of their own. SIGTERM ends it.',
    )
    .option('--cluster <NAME>', 'whose records they are, in the names of its files', 'default')
    .option(
      '--domain <NAME>',
      'records are taken at this name and below; may be repeated (default: all zones)',
      collect,
      [],
    )
    .option(
      '--webhook <ADDRESS:PORT>',
      'where external-dns asks; whoever reaches it may change records',
      '127.0.0.1:8888',
    )
    .option('--expose <ADDRESS:PORT>', 'where /healthz and /metrics are', '0.0.0.0:8080')
    .action(async (options: SharedFlags & ExternalDnsFlags, command: Command) => {
      const { cluster, domain: domains } = options
      if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(cluster))
        command.error(`error: --cluster takes letters, digits, - and _, not ${cluster}`)
      const [listen, expose] = [parseEndpoint(options.webhook), parseEndpoint(options.expose)]
      if (listen === undefined || expose === undefined)
        command.error('error: --webhook and --expose take an address and a port: 127.0.0.1:8888 or [::1]:8888')
      const { config, problems } = await readSettings(command)
      for (const problem of problems) surroundings.err(formatProblem(problem))
      if (config === undefined) throw new SettingsError()
      const { serveExternalDns } = await import('../node/external-dns.ts')
      onExit(await serveExternalDns(config, { cluster, domains, listen, expose }, surroundings))
    })
  withExamples(
    transcribing,
    'meridian external-dns --cluster fra --zones /zones',
    'meridian external-dns --cluster fra --zones /zones --domain apps.gslb.example.com',
  )

  const probing = withSettings(program.command('probe'), FLAGS.filter(isOfProber))
    .summary('only probe the sites, and send votes to the nodes through Redis')
    .description(
      'Probes the sites and sends its votes to the nodes through Redis; answers no queries. SIGHUP reloads the files; SIGTERM ends it.',
    )
    .action(async (_options: SharedFlags, command: Command) => {
      const settings = await readSettings(command, 'probe')
      const { probe } = await import('../node/run.ts')
      onExit(await probe(settings, surroundings))
    })
  withExamples(probing, 'meridian probe', 'meridian probe -c /etc/meridian/meridian.yaml --probe-region eu')
}
