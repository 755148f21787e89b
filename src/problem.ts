/**
 * Problems: faults in what an operator wrote (zones, settings, databases that they name). A Problem is a value and
 * never thrown; a run reports all of them at once. Faults of packets are rcodes, operational trouble is a state, and
 * bugs throw.
 */

/** Every code there is, with what it means. Docs are held to this table by a test. */
export const PROBLEM_CODES = {
  'file-unreadable': 'a file or folder could not be read',
  'file-unknown': 'a file that has no meaning in a folder of zones',
  'zones-missing': 'a folder without any zone',
  'problems-many': 'more problems than are told; a load stops at 1,000 errors',
  'text-encoding': 'a file with bytes that are no UTF-8',
  'yaml-syntax': 'a file that is not YAML',
  'merge-conflict': 'a file with a conflict marker of git in it: a merge or rebase is unfinished',
  'yaml-unsupported':
    'an anchor, alias, tag other than `!include`, second document or key that is no text: one file must mean one thing',
  'duplicate-key': 'a key that is twice in one mapping',
  'key-unknown': 'a key that has no meaning where it stands',
  'key-missing': 'a key that must be there and is not',
  'value-kind': 'a text, list or mapping where another of them is wanted',
  'value-invalid': 'a value that cannot be read, or is out of bounds',
  'not-supported': 'something that later versions may do and this one does not',
  'include-invalid': 'an `!include` of what is no file of the repository, or of files that do not fit together',
  'include-loop': 'a file that includes itself, by way of others or not',
  'include-unused': 'a file among included ones, or files of subnets, that nothing includes or names',
  'unsupported-type': 'a record of a type that octoDNS knows and that cannot be served',
  'octodns-ignored': 'something that octoDNS itself or one of its providers goes by, and Meridian does not',
  'pool-unknown': 'a name of a pool that a dynamic record does not have',
  'pool-unused': 'a pool of a dynamic record that neither a rule nor a fallback names',
  'pool-loop': 'pools that are each other’s fallback',
  'pool-reused': 'a pool that two rules of a dynamic record name, of which the later is no catch-all',
  'catchall-missing': 'a dynamic record whose last rule is not for everybody',
  'rule-order': 'a rule of a dynamic record that stands behind broader ones: subnets, then geos, then the catch-all',
  'geo-covered': 'a geo of a dynamic record that an earlier rule, or its own, has already, or a broader one of it',
  'subnet-covered':
    'a subnet of a dynamic record that an earlier rule, or its own, has already, or a broader one of it',
  'site-unknown': 'a name of a site that sites.yaml, or the service, does not have',
  'site-duplicate': 'a site that is twice in one order',
  'site-without-vips': 'a site of a service that has nothing to answer with',
  'service-unknown': 'a name of a service that there is not',
  'service-duplicate': 'a service that two files have',
  'service-without-sites': 'a service that has no sites',
  'check-unknown': 'a name of a check that defaults.yaml does not have',
  'check-timing': 'a check whose timeout or fast interval does not fit into its interval',
  'ttl-order': 'a TTL whose min is above its max',
  'vip-duplicate': 'a VIP that a service has twice',
  'vip-shared': 'a VIP that two services have at different sites',
  'vips-too-few': 'a site with fewer VIPs than minVips: it would never be usable',
  'resort-type': 'a last resort with a type of address that the service never has: types must not depend on health',
  'fence-type': 'a rule with `only` whose sites lack a type that the service has: types must not depend on the client',
  'rule-empty': 'a rule that matches nothing: neither subnets nor asns nor geos',
  'rule-dead': 'a rule that can never match, for others take its clients first',
  'geo-unmatched': 'a subdivision in a rule that the city database knows no network of',
  'asn-database-missing': 'a rule with asns, and no database that tells them',
  'budget-exceeded': 'a steered name whose failover can take longer than its service’s budget',
  'budget-long': 'a steered name whose failover can take longer than five minutes',
  'check-slow': 'a check that finds a dead site later than answers live',
  'single-site': 'a service with one site: nothing is left when it dies',
  'service-unused': 'a service that no name is steered by',
  'weight-unused': 'a weight that never decides anything',
  'spread-unused': 'a spread, bias or number of candidates that never decides anything',
  'regions-few': 'a service that wants DOWN from more regions than there are, or than probers check it',
  'site-far': 'a site far from the others of its region: swapped coordinates, or a minus that is missing',
  'name-doubled': 'an owner name that ends with the zone’s own name twice, for names are relative to the zone',
  'ns-one-network': 'a zone whose name servers are one, or in one network',
  'parent-differs': 'a delegation in the parent zone that is not what the zone says of itself',
  'parent-unreachable': 'a server of the parent zone that could not be asked, or does not know the zone',
  'folder-unsettled':
    'a folder of zones, or a database, that changed again and again while it was read, or that git has locked for long',
  'serial-backwards': 'a serial below the one that was served: the served one stays',
  'zone-name': 'a file name that is no name of a zone',
  'zone-duplicate': 'a zone that two files have',
  'zone-included': 'a file named like a zone that another file includes: it is no zone of its own',
  'zone-overlap': 'data of an outer zone at or below the apex of an inner one',
  'name-invalid': 'an owner name that is none, or not relative to its zone',
  'name-duplicate': 'an owner name that is twice in its zone',
  'soa-in-zone': 'a SOA record: it comes from defaults.yaml',
  'rdata-invalid': 'a value that is none of its type',
  'rdata-duplicate': 'a value that is twice in its RRset',
  'rrset-duplicate': 'two records of one type at one name, whose values belong together',
  'rrset-too-large': 'an RRset that fits into no message',
  'cname-conflict': 'a CNAME beside other data, or more than one',
  'gslb-conflict': 'a steered name beside a CNAME, or beside an A or AAAA record of a type that it is steered for',
  'gslb-type': 'a steered name with a type that its service has no VIP of',
  'ns-missing': 'a zone without NS at its apex',
  'ns-wildcard': 'NS at a wildcard (RFC 4592 §4.2)',
  'ns-without-address': 'a name server within the zone that has no address, or missing glue',
  'hints-conflict': 'hints of a service at an alias, beside hints that are written, or of a service without addresses',
  'vips-mixed': 'a service with names and addresses among its VIPs',
  'dname-conflict': 'a DNAME with names below it, at a wildcard, or more than one at a name',
  'below-cut': 'data at or below a zone cut that is neither its NS or DS nor glue, or DS where there is no cut',
  'drill-long': 'a scheduled drill that is longer than its window',
  'drill-never': 'a scheduled drill whose window does not come within a year, but for blocked dates',
  'drill-overlong': 'a scheduled drill that is longer than the setting overrides.maxFor lets an override be',
  'dates-order': 'a range of dates that ends before it begins',
  'serial-unknown': 'no serial is written and git knows none',
  'members-too-many': 'more members than the health table has room for',
  'probe-overload': 'more checks than this prober can make',
  'exec-unknown': 'a check of type exec whose command is not in the setting probe.exec',
  'ca-unknown': 'a check whose `ca` is not in the setting probe.ca',
  'header-unknown': 'a check with a header whose value is not in the setting probe.headers',
  'tsig-key-unknown': 'a zone whose transfers need a key that is not in the setting tsig.keys',
  'probe-denied': 'a check of an address that this prober may not reach: it abstains',
  'check-address': 'a check of an address that is neither the VIP nor named by the setting probe.allow',
  'setting-unknown': 'a node setting that there is not',
  'setting-invalid': 'a node setting whose value is not of its type or out of bounds',
  'host-buffers': 'a host that gives UDP sockets smaller buffers than they ask for',
  'host-files': 'a host that lets a node open fewer files than tcp.connections takes',
  'redis-missing':
    'a prober without Redis to tell its votes, or a node that neither probes nor has Redis to hear probers',
  'geo-unreadable': 'a GeoIP database could not be read',
  'geo-corrupt': 'a GeoIP database is truncated, half written or no MMDB file',
  'geo-memory': 'a GeoIP database that needs more memory to decode than the process may have',
  'cache-unwritable': 'compiled GeoIP data could not be kept for the next start',
  'zones-held':
    'a change of the zones that moves more clients than zones.maxMove: the zones before are served until it is accepted',
  'geo-held':
    'a new GeoIP database that moves more clients than geo.maxMove, or has lost what the zones need: the one before is used until it is accepted',
  'geo-missing': 'zones that look at where clients are, and no city database',
  'geo-coverage':
    'a GeoIP database that lacks what the zones need for nearly all addresses of a family that is listened on',
  'geo-schema':
    'a GeoIP database does not tell what it is set for, places or numbers of systems; or the same as another one',
} as const satisfies Record<string, string>

/** A stable code, one of the table above. */
export type ProblemCode = keyof typeof PROBLEM_CODES

/**
 * `error`: what was loaded before stays in use. `warning`: it works, but not as intended. `notice`: it has no effect
 * here.
 */
export type Severity = 'error' | 'warning' | 'notice'

/** One fault, with its place, a message and a hint. */
export interface Problem {
  readonly code: ProblemCode
  readonly severity: Severity
  /** Path as the operator named it: relative to the working directory, or as given. */
  readonly file: string
  /** 1-based; 0 when the problem concerns the file as a whole. */
  readonly line: number
  /** 1-based, in UTF-16 units; 0 when the problem concerns the file as a whole. */
  readonly column: number
  /** How many UTF-16 units from the column on are at fault; absent = unknown. */
  readonly width?: number
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
}

/** Takes a problem. Code that reads what an operator wrote reports each fault to it and goes on. */
export type Report = (problem: Problem) => void

/**
 * The limit of errors, after which a run stops; and of warnings, and of notices, beyond which they are only counted.
 */
export const MOST_PROBLEMS = 1000

/** Thrown by ProblemList.report() at the first error beyond the limit, to end the run. */
export class TooManyErrors extends Error {}

/** The problems of a run, each once, up to a limit for each severity. */
export class ProblemList {
  readonly list: Problem[] = []
  readonly #most: number
  readonly #known = new Set<string>()
  readonly #counts: Record<Severity, number> = { error: 0, warning: 0, notice: 0 }

  constructor(most = MOST_PROBLEMS) {
    this.#most = most
  }

  /** Adds a problem. Throws TooManyErrors at the first error beyond the limit. */
  readonly report: Report = (problem) => {
    const { file, line, column, code, message, severity } = problem
    const key = `${file}:${line}:${column} ${code} ${message}`
    if (this.#known.has(key)) return
    const isTold = this.#counts[severity] < this.#most
    if (!isTold && severity === 'error') throw new TooManyErrors()
    this.#counts[severity]++
    if (!isTold) return
    this.#known.add(key)
    this.list.push(problem)
  }

  /** How many problems of a severity there are, in the list or beyond the limit. */
  count(severity: Severity): number {
    return this.#counts[severity]
  }

  /** Counts warnings or notices that are not in the list. */
  addHidden(severity: 'warning' | 'notice', count: number): void {
    this.#counts[severity] += count
  }
}

/** Problems that say how many others are not in `list`. `isStopped`: the run ended with TooManyErrors. */
export function hiddenProblems(list: ProblemList, folder: string, isStopped: boolean): Problem[] {
  const problems: Problem[] = []
  const tell = (severity: Severity, message: string, hint: string): void => {
    problems.push({ code: 'problems-many', severity, file: folder, line: 0, column: 0, message, hint })
  }
  const most = MOST_PROBLEMS.toLocaleString('en-US')
  if (isStopped)
    tell('error', `there are more than ${most} errors: the load stopped there`, 'Correct these, and look again')
  for (const severity of ['warning', 'notice'] as const) {
    const more = list.count(severity) - list.list.filter((problem) => problem.severity === severity).length
    if (more > 0) tell(severity, `${more} more ${severity}s are not told`, `The first ${most} are`)
  }
  return problems
}

/**
 * Files with these were not read, so they come first: what else is told may be their doing. (What refers to them is not
 * judged at all.)
 */
const FIRST: readonly ProblemCode[] = ['file-unreadable', 'text-encoding', 'merge-conflict', 'yaml-syntax']
const SEVERITIES: readonly Severity[] = ['error', 'warning', 'notice']
const rankOf = ({ code, severity }: Problem): number =>
  2 * SEVERITIES.indexOf(severity) + (FIRST.includes(code) ? 0 : 1)

/**
 * Compares problems for sorting, so that the first is the one to correct first: errors before warnings, files that
 * could not be read before all else, then by file, line and column.
 */
export const compareProblems = (a: Problem, b: Problem): number =>
  rankOf(a) - rankOf(b) || (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line || a.column - b.column)

/** A problem as text: `file:line:column code message`, and the hint on a line of its own. */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file
  const mark = problem.severity === 'error' ? '' : ` (${problem.severity})`
  const hint = problem.hint === undefined ? '' : `\n    ${inLine(problem.hint)}`
  return `${inLine(`${place} ${problem.code}${mark} ${problem.message}`)}${hint}`
}

/**
 * A text without control characters and line ends: a text from a zone must not steer a terminal, nor begin a line that
 * CI takes for a command.
 */
export const inLine = (text: string): string => text.replaceAll(/\p{C}/gu, '\u{fffd}')

/** Longer words are not compared: the time grows with the square of the length. */
const MOST_CHARACTERS = 64
/** How many words are compared: a thousand mistyped names among ten thousand sites would take minutes. */
const MOST_WORDS = 200

/**
 * A hint for an unknown word: the most similar of the known words; else all of them, if they are few; else undefined.
 */
export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  const words = [...known]
  const few = words.length > 0 && words.length <= 24
  return nearest(word, words) ?? (few ? `Known: ${words.join(', ')}` : undefined)
}

/** The same of words that are told elsewhere: nothing where none is near enough. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const other = nearestWord(word, words)
  return other === undefined ? undefined : `Did you mean ${other}?`
}

/** The word that is most similar to another; undefined where none is near enough. */
export function nearestWord(word: string, words: readonly string[]): string | undefined {
  let best: { readonly other: string; readonly distance: number } | undefined
  for (const other of candidates(word, words)) {
    const distance = editDistance(word.toLowerCase(), other.toLowerCase())
    if (best === undefined || distance < best.distance) best = { other, distance }
  }
  return best !== undefined && best.distance <= mostChanges(word) ? best.other : undefined
}

/** Whether a word is likely to be the other one, mistyped. */
export const isNear = (word: string, other: string): boolean => nearestWord(word, [other]) !== undefined

const mostChanges = (word: string): number => Math.max(1, Math.floor(word.length / 3))

/**
 * The words whose letters differ little from the word's, the most similar first: each extra or missing letter is a
 * change.
 */
function candidates(word: string, words: readonly string[]): readonly string[] {
  const most = mostChanges(word)
  if (word.length > MOST_CHARACTERS + most) return []
  const letters = lettersOf(word)
  const byDistance: string[][] = Array.from({ length: most + 1 }, () => [])
  for (const other of words) {
    if (Math.abs(other.length - word.length) > most || other.length > MOST_CHARACTERS) continue
    const theirs = lettersOf(other)
    let more = 0
    let less = 0
    for (let i = 0; i < letters.length; i++) {
      const difference = theirs[i]! - letters[i]!
      if (difference > 0) more += difference
      else less -= difference
    }
    byDistance[Math.max(more, less)]?.push(other)
  }
  return byDistance.flat().slice(0, MOST_WORDS)
}

/** How often each letter occurs; characters beyond the 26 letters share cells. */
function lettersOf(word: string): Uint8Array {
  const counts = new Uint8Array(32)
  for (let i = 0; i < word.length; i++) counts[word.charCodeAt(i) & 31]!++
  return counts
}

/** Edit distance: the number of insertions, deletions, changes and swaps of neighbours between two words. */
function editDistance(a: string, b: string): number {
  const width = b.length + 1
  const rows = new Uint8Array(3 * width)
  for (let j = 0; j < width; j++) rows[j] = j
  for (let i = 1; i <= a.length; i++) {
    const row = (i % 3) * width
    const above = ((i - 1) % 3) * width
    const before = ((i + 1) % 3) * width
    rows[row] = i
    for (let j = 1; j < width; j++) {
      const isSame = a.charCodeAt(i - 1) === b.charCodeAt(j - 1)
      let least = Math.min(rows[above + j]! + 1, rows[row + j - 1]! + 1, rows[above + j - 1]! + (isSame ? 0 : 1))
      const isSwap =
        i > 1 && j > 1 && a.charCodeAt(i - 1) === b.charCodeAt(j - 2) && a.charCodeAt(i - 2) === b.charCodeAt(j - 1)
      if (isSwap) least = Math.min(least, rows[before + j - 2]! + 1)
      rows[row + j] = least
    }
  }
  return rows[(a.length % 3) * width + b.length]!
}

/** What an error says; what else was thrown, as text. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** `ENOENT` and so on: the code that errors of the system and of Node have. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Why a process cannot start. The message is printed as it is, without a stack. */
export class StartError extends Error {
  readonly problems: readonly Problem[]
  constructor(message: string, problems: readonly Problem[] = []) {
    super(message)
    this.name = 'StartError'
    this.problems = problems
  }
}

/**
 * A text without control characters other than line ends: texts of sites, nodes and Redis must not steer a terminal.
 */
export const printable = (text: string): string => text.replaceAll(/[^\P{C}\n]/gu, '\u{fffd}')

/** Where something is written, for problems that are found after its file was read. Fields as in Problem. */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
  /** UTF-16 units from there on, on that line; undefined = unknown. */
  readonly width?: number
}
