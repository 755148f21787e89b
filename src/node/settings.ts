/**
 * Reads the node settings from meridian.yaml, MERIDIAN_* variables and flags; later ones win. Called by each command.
 * The table of settings is in config.ts; this module knows the YAML form, and what a process needs beyond valid values.
 * All faults are reported at once, and none shows a line of the file, which may hold secrets.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { readAuthorities } from '../authorities.ts'
import {
  type Config,
  type RawSetting,
  settingsFromEnvironment,
  type RawValue,
  hasKeysBelow,
  isItem,
  isNamed,
  isSetting,
  readConfig,
  SETTING_KEYS,
  type SettingKey,
  SETTINGS,
} from '../config.ts'
import { familyOf, parsePrefix } from '../dns/address.ts'
import { prefixFault } from '../load/subnets.ts'
import { codeOf, messageOf, type Problem, type Report } from '../problem.ts'
import { CertificateError, readCertificate, validityFault } from '../server/certificate.ts'
import { parseRedisUrl } from '../store/redis/url.ts'
import { type DecodedText, decodeText } from '../text.ts'
import { isEmpty, type Node, Source } from '../yaml/source.ts'
import { parseYaml } from '../yaml/tree.ts'
import { isWildcard } from './announce/canary.ts'
import { readCookieSecrets } from './cookie-secrets.ts'
import { receiverFaults } from '../events/notify/secrets.ts'
import { gidOf } from './group.ts'
import { readTokens } from './tokens.ts'
import { readKeyFile } from './tsig-keys.ts'

/** Where settings come from. */
export interface SettingSources {
  /** The file that `-c` names; undefined = the first of `places` that exists, if one does. */
  readonly file?: string | undefined
  /** Default: SETTINGS_FILES. */
  readonly places?: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly flags: readonly RawSetting[]
  /** The process that needs them, for checks across settings; undefined: a command that needs none. */
  readonly role?: Role | undefined
}

/** Where the settings file is looked for when nothing names it. */
export const SETTINGS_FILES: readonly string[] = ['meridian.yaml', '/etc/meridian/meridian.yaml']

/** A process that runs until it is stopped: a node, a prober, or what announces a node. */
export type Role = 'serve' | 'probe' | 'announce'

/** The settings, and what is wrong with them. */
export interface Settings {
  /** undefined when there is an error among the problems. */
  readonly config: Config | undefined
  readonly problems: readonly Problem[]
  /** The file that was read; undefined: none. */
  readonly file?: string | undefined
}

/** Reads all settings. Never throws for an operator's mistake: see `problems`. */
export function loadSettings({ file: named, places = SETTINGS_FILES, env, flags, role }: SettingSources): Settings {
  const problems: Problem[] = []
  const report: Report = (problem) => void problems.push(problem)
  const read = readFile(named, places, role, report)
  const given = [
    ...(read === undefined ? [] : givenByFile(read, report)),
    ...settingsFromEnvironment(env, report),
    ...flags,
  ]
  const config = readConfig(given, report)
  if (config !== undefined) checkPrefixes(given, report)
  if (config !== undefined && (role === 'serve' || role === 'announce')) checkAnnounce(config, given, report)
  if (config !== undefined && role !== undefined && role !== 'announce') {
    checkRedis(role, config, given, read?.file, report)
    checkGroup(config, given, report)
    checkAuthorities(given, report)
    checkTokens(config, given, report)
    const { 'http.certificate': certificate, 'http.key': key } = config
    const asking = certificate !== undefined ? 'http.certificate' : key !== undefined ? 'http.key' : undefined
    if (asking !== undefined) checkCertificate('http', asking, config, given, report)
    if (role === 'serve') {
      checkKeys(config, given, report)
      checkCookieSecrets(config, given, report)
      const listening = (['tls.listen', 'https.listen'] as const).find((name) => config[name].length > 0)
      if (listening !== undefined) checkCertificate('tls', listening, config, given, report)
      checkReceivers(config, given, report)
    }
  }
  const failed = problems.some((problem) => problem.severity === 'error')
  return { config: failed ? undefined : config, problems, file: read?.file }
}

/** Checks the setting `redis`: a prober needs it to send votes, and so does a node that does not probe, to get them. */
function checkRedis(
  role: Role,
  config: Config,
  given: readonly RawSetting[],
  file: string | undefined,
  report: Report,
): void {
  const at = (key: SettingKey) => placeOf(key, given, file)
  const { redis } = config
  if (redis !== undefined) {
    const message = parseRedisUrl(redis.reveal())
    if (typeof message !== 'string') return
    const hint = `Type: ${SETTINGS.redis.type}`
    report({ code: 'setting-invalid', severity: 'error', ...at('redis'), message: `redis ${message}`, hint })
  } else if (role === 'probe' || !config['probe.enabled']) {
    const what =
      role === 'probe'
        ? 'a prober sends its votes through Redis'
        : 'with probe.enabled: false a node gets health only through Redis'
    const message = `${what}, but the setting redis is missing`
    const hint = 'Set redis, e.g. redis://192.0.2.6:6379; docs/redis.md has all forms'
    const place = at(role === 'probe' ? 'redis' : 'probe.enabled')
    report({ code: 'redis-missing', severity: 'error', ...place, message, hint })
  }
}

/** Where a setting's value is written; a setting that is not written is missing in the file. */
function placeOf(key: string, given: readonly RawSetting[], file = 'meridian.yaml') {
  const found = given.findLast((entry) => entry.key === key)
  const [value] = found?.values ?? []
  const { line = 0, column = 0, width } = value ?? {}
  return { file: found?.source ?? file, line, column, ...(width !== undefined && { width }) }
}

/**
 * Checks that there is a certificate, and its key, for the setting `asking`. One that has expired is a warning: UDP needs
 * none.
 */
function checkCertificate(
  of: 'tls' | 'http',
  asking: SettingKey,
  config: Config,
  given: readonly RawSetting[],
  report: Report,
): void {
  const certificate = config[`${of}.certificate` as const]
  const key = config[`${of}.key` as const]
  const missing = certificate === undefined ? 'certificate' : key === undefined ? 'key' : undefined
  const fault = (at: SettingKey, severity: 'error' | 'warning', message: string, hint: string): void =>
    report({ code: 'setting-invalid', severity, ...placeOf(at, given), message, hint })
  if (missing !== undefined) {
    const hint = `Set ${of}.certificate and ${of}.key, to PEM files of a certificate and its private key`
    const what = asking.endsWith('.certificate') ? 'its key' : 'a certificate'
    return fault(asking, 'error', `${asking} needs ${what}, but the setting ${of}.${missing} is missing`, hint)
  }
  try {
    const expiry = validityFault(readCertificate(certificate!, key!), Date.now())
    const hint = 'Renew it: clients that check certificates will not ask here'
    if (expiry !== undefined) fault(`${of}.certificate`, 'warning', `${of}.certificate: ${expiry}`, hint)
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    fault(`${of}.${error.part}`, 'error', `${of}.${error.part}: ${error.message}`, error.hint)
  }
}

/** Checks that each receiver of notifications has what its type needs, and that files of secrets can be read. */
function checkReceivers(config: Config, given: readonly RawSetting[], report: Report): void {
  for (const [name, receiver] of Object.entries(config.notify)) {
    const fault = (part: string, message: string, hint: string): void => {
      const key = `notify.${name}.${part}`
      const written = given.some((entry) => entry.key === key)
      const at = written ? key : (given.find((entry) => entry.key.startsWith(`notify.${name}.`))?.key ?? key)
      report({
        code: 'setting-invalid',
        severity: 'error',
        ...placeOf(at, given),
        message: `notify.${name}: ${message}`,
        hint,
      })
    }
    for (const { part, message, hint } of receiverFaults(receiver)) fault(part, message, hint)
  }
}

/** Checks that what is to be announced is answered, and that its form has what it needs. */
function checkAnnounce(config: Config, given: readonly RawSetting[], report: Report): void {
  const { listen, 'announce.form': form, 'announce.addresses': addresses } = config
  const fault = (key: SettingKey, message: string, hint: string): void =>
    report({ code: 'setting-invalid', severity: 'error', ...placeOf(key, given), message: `${key}: ${message}`, hint })
  if (form === undefined) {
    if (addresses.length > 0) fault('announce.addresses', 'nothing says how they are announced', 'Set announce.form')
    return
  }
  if (addresses.length === 0 && form !== 'http')
    fault('announce.form', 'there is nothing to announce', 'Set announce.addresses, e.g. [192.0.2.53]')
  for (const { address } of addresses) {
    const isAnswered = listen.some(
      (one) => one.address === address || (isWildcard(one.address) && familyOf(one.address) === familyOf(address)),
    )
    if (!isAnswered)
      fault('announce.addresses', `nothing listens at ${address}`, 'Add it to listen, with its port: 192.0.2.53:53')
  }
  if (form === 'file' && config['announce.file'] === undefined)
    fault(
      'announce.form',
      'of the form file the setting announce.file is missing',
      'E.g. /run/meridian-announce/announced',
    )
  if (form === 'exec' && config['announce.exec'][0]?.startsWith('/') !== true)
    fault('announce.form', 'of the form exec announce.exec must begin with a path', 'E.g. [/usr/local/bin/announce]')
}

/** Checks that the group of the control socket is one of this machine. */
function checkGroup(config: Config, given: readonly RawSetting[], report: Report): void {
  const group = config['control.group']
  if (group === undefined || gidOf(group) !== undefined) return
  const { source, values } = given.findLast(({ key }) => key === 'control.group')!
  const { line, column, width } = values[0]!
  const place = { file: source, line, column, ...(width !== undefined && { width }) }
  const message = `control.group: this machine has no group “${group}”`
  report({ code: 'setting-invalid', severity: 'error', ...place, message, hint: 'Name one of /etc/group, or a number' })
}

const PREFIX_KEYS: readonly string[] = ['probe.allow', 'probe.deny', 'limits.exempt', 'proxy.from']

/** Checks that the values of PREFIX_KEYS are prefixes. */
function checkPrefixes(given: readonly RawSetting[], report: Report): void {
  for (const { key, values, source } of given) {
    if (!PREFIX_KEYS.includes(key)) continue
    for (const { text, line, column, width } of values) {
      if (parsePrefix(text) !== undefined) continue
      const [fault, hint] = prefixFault(text)
      const place = { file: source, line, column, ...(width !== undefined && { width }) }
      report({ code: 'setting-invalid', severity: 'error', ...place, message: `${key}: ${fault}`, hint })
    }
  }
}

/** Checks that the files of tls.ca and probe.ca can be read and have certificates. */
function checkAuthorities(given: readonly RawSetting[], report: Report): void {
  for (const { key, values, source, folder } of given) {
    if (key !== 'tls.ca' && key !== 'probe.ca') continue
    for (const { text, words, line, column, width } of values) {
      for (const file of words ?? [text.slice(key === 'probe.ca' ? text.indexOf('=') + 1 : 0)]) {
        try {
          readAuthorities(resolve(folder, file.trim()))
        } catch (error) {
          const place = { file: source, line, column, ...(width !== undefined && { width }) }
          const hint = 'A PEM file of certificates, like those in /usr/local/share/ca-certificates'
          report({ code: 'setting-invalid', severity: 'error', ...place, message: `${key}: ${messageOf(error)}`, hint })
        }
      }
    }
  }
}

/** Checks that the files of tsig.keys have the keys. */
function checkKeys(config: Config, given: readonly RawSetting[], report: Report): void {
  const entry = given.findLast(({ key }) => key === 'tsig.keys')
  for (const [i, [name, [file]]] of Object.entries(config['tsig.keys']).entries()) {
    const fault = readKeyFile(name, file!)
    if (typeof fault !== 'string') continue
    const { line = 0, column = 0, width } = entry?.values[i] ?? {}
    const place = { file: entry?.source ?? '', line, column, ...(width !== undefined && { width }) }
    const hint = 'Make one with tsig-keygen or keymgr -t, and chmod it 640'
    report({ code: 'setting-invalid', severity: 'error', ...place, message: `tsig.keys: ${fault}`, hint })
  }
}

/** Checks that the file of cookie secrets has some. */
function checkCookieSecrets(config: Config, given: readonly RawSetting[], report: Report): void {
  const file = config['cookies.secretFile']
  if (file === undefined) return
  try {
    readCookieSecrets(file)
  } catch (error) {
    const message = `cookies.secretFile: ${messageOf(error)}`
    const hint =
      'One or two lines of 32 hexadecimal digits, in a file of mode 0640 or less; openssl rand -hex 16 makes one'
    report({ code: 'setting-invalid', severity: 'error', ...placeOf('cookies.secretFile', given), message, hint })
  }
}

/** Checks that the file of tokens has some, or none. */
function checkTokens(config: Config, given: readonly RawSetting[], report: Report): void {
  const file = config['http.tokens']
  if (file === undefined) return
  try {
    readTokens(file)
  } catch (error) {
    const message = `http.tokens: ${messageOf(error)}`
    const hint = 'Lines of a name, sha256:…, and scopes, in a file of mode 0640 or less; meridian token makes one'
    report({ code: 'setting-invalid', severity: 'error', ...placeOf('http.tokens', given), message, hint })
  }
}

interface SettingsText extends DecodedText {
  readonly file: string
}

/**
 * The settings file that is named, else the first of the places that has one; undefined: none is read. A file of such a
 * place that this user may not read is only a warning for a command, which may need none of it: it is the node's.
 */
function readFile(
  named: string | undefined,
  places: readonly string[],
  role: Role | undefined,
  report: Report,
): SettingsText | undefined {
  for (const file of named === undefined ? places : [named]) {
    try {
      return { file, ...decodeText(readFileSync(file)) }
    } catch (error) {
      const code = codeOf(error) ?? String(error)
      if (named === undefined && (code === 'ENOENT' || code === 'ENOTDIR')) continue
      const isOptional = named === undefined && role === undefined
      const message = `the settings can't be read: ${code}`
      const problem = { code: 'file-unreadable', file, line: 0, column: 0, message } as const
      if (isOptional) report({ ...problem, severity: 'warning', hint: 'The defaults are used; -c names another file' })
      else report({ ...problem, severity: 'error', hint: 'A file that the process may read' })
      return undefined
    }
  }
  return undefined
}

function givenByFile({ file, text, fault }: SettingsText, report: Report): RawSetting[] {
  const source = new Source(file, text)
  if (fault !== undefined) {
    report(source.notUtf8(source.first, fault))
    return []
  }
  const root = parseYaml(source, (problem) => report({ ...problem, message: withoutValues(problem.message) }))
  if (root === undefined) return []
  if (root.kind !== 'mapping') {
    report(source.problem('value-kind', root.offset, 'settings are a mapping: one key a line', 'zones: zones'))
    return []
  }
  return [...flatten(root, '', source, report)]
}

/** Replaces quoted text of the file by `…`, except names of settings: the file may hold passwords. */
const withoutValues = (message: string): string =>
  message
    .replaceAll(/(["“])([^"”]*)(["”])/g, (all, left: string, text: string, right: string) =>
      SETTING_KEYS.some((key) => key.split('.').includes(text) || key === text) ? all : `${left}…${right}`,
    )
    .replace(/(such characters): .*/s, '$1')

/** Yields the settings of a mapping: `http: {listen: …}` and `http.listen: …` are the same. */
function* flatten(node: Node, prefix: string, source: Source, report: Report): Generator<RawSetting> {
  if (node.kind !== 'mapping') return
  for (const { key, value } of node.entries) {
    const name = `${prefix}${key.text}`
    if (value.kind === 'mapping' && hasKeysBelow(name) && !(isItem(name) && value.entries.length === 0)) {
      yield* flatten(value, `${name}.`, source, report)
      continue
    }
    const known = isSetting(name) // the values of an unknown setting are not read
    const values = !known
      ? []
      : isNamed(name)
        ? namedOf(name, value, source, report)
        : textsOf(name, value, source, report)
    const { file, ...place } = source.place(key)
    yield { key: name, values, source: file, folder: dirname(resolve(file)), ...place }
  }
}

/** The values of a setting: one, or a list. */
function textsOf(name: string, node: Node, source: Source, report: Report): readonly RawValue[] {
  return (node.kind === 'list' ? node.items : [node]).flatMap((item) => {
    if (item.kind === 'scalar' && !isEmpty(item)) return [{ text: item.text, ...source.place(item) }]
    const hint = isEmpty(item) ? 'Write the value behind the colon' : `One value, or a list of them: ${name}: …`
    report(source.problem('value-kind', item.offset, `${name} takes texts and numbers`, hint))
    return []
  })
}

/** The values of a setting that maps names to lists of words, such as probe.exec. */
function namedOf(name: string, node: Node, source: Source, report: Report): readonly RawValue[] {
  if (node.kind !== 'mapping') {
    const hint = `${name}: {NAME: [/path/of/program, argument]}`
    report(source.problem('value-kind', node.offset, `${name} is a mapping from names to lists`, hint))
    return []
  }
  return node.entries.map(({ key, value }) => {
    const words = textsOf(`${name}.${key.text}`, value, source, report).map(({ text }) => text)
    return { text: key.text, words, ...source.place(key) }
  })
}
