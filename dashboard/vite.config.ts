/**
 * Builds the page into dashboard/dist: one set of files without a reference to elsewhere. Every URL in it is relative, so a
 * proxy may serve it below a path of its own.
 */
import { readFileSync } from 'node:fs'
import { geoPath } from 'd3-geo'
import { feature } from 'topojson-client'
import type { GeometryCollection, Topology } from 'topojson-specification'
import { defineConfig, type Plugin } from 'vite'
import { projection } from './projection.ts'

const PACKAGES = new URL('../node_modules/', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, PACKAGES), 'utf8')

/** Rows of `i18n-iso-countries/codes.json`. */
type Codes = readonly (readonly [alpha2: string, alpha3: string, numeric: string, ...rest: string[]])[]

const COUNTRIES = 'virtual:countries'

/** The module `virtual:countries`: the outlines of Natural Earth's countries as SVG paths in the page's projection. */
function countries(): Plugin {
  return {
    name: 'countries',
    resolveId: (id) => (id === COUNTRIES ? `\0${COUNTRIES}` : undefined),
    load(id) {
      if (id !== `\0${COUNTRIES}`) return undefined
      const codes: Codes = JSON.parse(read('i18n-iso-countries/codes.json'))
      const alpha2 = new Map(codes.map(([code, , numeric]) => [numeric, code]))
      const topology: Topology<{ countries: GeometryCollection }> = JSON.parse(read('world-atlas/countries-110m.json'))
      const path = geoPath(projection).digits(1)
      const shapes = feature(topology, topology.objects.countries).features.map((country) => ({
        code: alpha2.get(String(country.id)) ?? '',
        path: path(country) ?? '',
      }))
      return `export const shapes = JSON.parse(${JSON.stringify(JSON.stringify(shapes))})`
    },
  }
}

/** The licences of what the page contains, as one of its files. */
function licences(): Plugin {
  const names = ['preact', 'd3-geo', 'd3-array', 'internmap', 'world-atlas']
  return {
    name: 'licences',
    generateBundle() {
      const texts = names.map((name) => `${name}\n\n${read(`${name}/LICENSE`)}`)
      const source = [...texts, 'Country outlines: Natural Earth (naturalearthdata.com), public domain.\n'].join('\n\n')
      this.emitFile({ type: 'asset', fileName: 'assets/licences.txt', source })
    },
  }
}

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [countries(), licences()],
  build: {
    target: 'es2023',
    assetsInlineLimit: 0, // the Content-Security-Policy has no data: URLs
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
})
