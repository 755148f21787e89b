/**
 * `npm run package [-- FOLDER]`: the tarball to install, with every package pinned that it brings along.
 *
 * npm reads npm-shrinkwrap.json only of packages that a registry serves; from a file it would install what is newest on the day.
 * So the tarball has both: the shrinkwrap, with hashes, and the exact version of every package as a dependency of its own.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { manualFiles, writeManual } from './manual.ts'
import { readJson, ROOT, shippedPackages } from './shipped.ts'

const SHRINKWRAP = 'npm-shrinkwrap.json'

const own = readJson('package.json')
const lock = readJson('package-lock.json')
const shipped = shippedPackages()
const nested = shipped.filter(([path]) => path.split('node_modules/').length > 2).map(([path]) => path)
if (nested.length > 0) throw new Error(`two versions of one package can't be pinned both: ${nested.join(', ')}`)
const pinned = (optional: boolean): Record<string, string> =>
  Object.fromEntries(
    shipped
      .filter(([, locked]) => (locked.optional === true) === optional)
      .map(([path, { version }]) => [path.slice('node_modules/'.length), version]),
  )

const { scripts: _scripts, devDependencies: _development, ...rest } = own
const dependencies = { dependencies: pinned(false), optionalDependencies: pinned(true) }
const { devDependencies: _locked, ...root } = lock.packages['']
const man = manualFiles().map((file) => `./dist/man/${file}`)
const manifest = { ...rest, ...dependencies, files: [...own.files, SHRINKWRAP], man }
const shrinkwrap = { ...lock, packages: { '': { ...root, ...dependencies }, ...Object.fromEntries(shipped) } }

execFileSync('npm', ['run', 'build'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] })
writeManual(join(ROOT, 'dist'))
execFileSync('npm', ['run', 'prepare'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] })
const staging = mkdtempSync(join(tmpdir(), 'meridian-package-'))
try {
  for (const file of [...own.files, 'README.md', 'LICENSE'])
    if (existsSync(join(ROOT, file))) cpSync(join(ROOT, file), join(staging, file), { recursive: true })
  for (const [file, content] of Object.entries({ 'package.json': manifest, [SHRINKWRAP]: shrinkwrap }))
    writeFileSync(join(staging, file), `${JSON.stringify(content, undefined, 2)}\n`)
  const destination = resolve(process.argv[2] ?? '.')
  const pack = ['pack', '--ignore-scripts', '--pack-destination', destination]
  const name = execFileSync('npm', pack, { cwd: staging, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  console.log(join(destination, name))
} finally {
  rmSync(staging, { recursive: true })
}
