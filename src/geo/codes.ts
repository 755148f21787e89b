/**
 * Codes of places: octoDNS's continents, ISO 3166-1 countries, ISO 3166-2 subdivisions without their country. They are
 * packed into ints (`FR` is 0x4652), so that places are compared without strings. 0 = unknown.
 */

/**
 * The continent of each country, as in octoDNS (octodns/record/geo_data.py), so that the same code means the same
 * clients as there, whatever a database says. It differs from GeoNames over CY and GS. octoDNS lacks XK and has an
 * invalid continent for TL.
 */
const COUNTRIES: Readonly<Record<string, string>> = {
  AF: 'AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW',
  AN: 'AQ BV HM TF',
  AS: 'AE AF AM AZ BD BH BN BT CC CN CX CY GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE',
  EU: 'AD AL AT AX BA BE BG BY CH CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK',
  NA: 'AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI',
  OC: 'AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS',
  SA: 'AR BO BR CL CO EC FK GF GS GY PE PY SR UY VE',
}

/**
 * Names of subdivisions: databases with the flat schema have names instead of codes. For the countries that octoDNS
 * knows.
 */
const STATES: Readonly<Record<string, string>> = {
  US: `AK Alaska,AL Alabama,AR Arkansas,AS American Samoa,AZ Arizona,CA California,CO Colorado,CT Connecticut,DC District of Columbia,DE Delaware,
    FL Florida,GA Georgia,GU Guam,HI Hawaii,IA Iowa,ID Idaho,IL Illinois,IN Indiana,KS Kansas,KY Kentucky,LA Louisiana,MA Massachusetts,
    MD Maryland,ME Maine,MI Michigan,MN Minnesota,MO Missouri,MP Northern Mariana Islands,MS Mississippi,MT Montana,NC North Carolina,ND North Dakota,
    NE Nebraska,NH New Hampshire,NJ New Jersey,NM New Mexico,NV Nevada,NY New York,OH Ohio,OK Oklahoma,OR Oregon,PA Pennsylvania,PR Puerto Rico,
    RI Rhode Island,SC South Carolina,SD South Dakota,TN Tennessee,TX Texas,UM United States Minor Outlying Islands,UT Utah,VA Virginia,VI Virgin Islands,VT Vermont,WA Washington,
    WI Wisconsin,WV West Virginia,WY Wyoming`,
  CA: `AB Alberta,BC British Columbia,MB Manitoba,NB New Brunswick,NL Newfoundland and Labrador,NS Nova Scotia,
    NT Northwest Territories,NU Nunavut,ON Ontario,PE Prince Edward Island,QC Quebec,SK Saskatchewan,YT Yukon`,
}

/** US subdivisions that have a country code too (ISO 3166), which databases use for their networks. */
const TERRITORIES = ['AS', 'GU', 'MP', 'PR', 'UM', 'VI']

/** Up to three ASCII characters as one int. */
export function packCode(text: string | undefined): number {
  let code = 0
  for (const character of text ?? '') code = (code << 8) | (character.charCodeAt(0) & 255)
  return code
}

/** The text of a packed code; empty for 0. */
export function unpackCode(code: number): string {
  const bytes = [code >>> 16, (code >>> 8) & 255, code & 255].filter((byte) => byte !== 0)
  return String.fromCharCode(...bytes)
}

const continents = new Map<number, number>()
for (const [continent, countries] of Object.entries(COUNTRIES)) {
  for (const country of countries.split(' ')) continents.set(packCode(country), packCode(continent))
}

const states = new Map<number, Map<string, number>>()
for (const [country, list] of Object.entries(STATES)) {
  const named = list.split(/,\s*/).map((state): [string, number] => [state.slice(3), packCode(state.slice(0, 2))])
  states.set(packCode(country), new Map(named))
}

/** Whether a subdivision is a US territory, whose clients may be placed in a country of its code: `NA-US-PR` is PR. */
export const isTerritory = (country: string | undefined, subdivision: string | undefined): boolean =>
  country === 'US' && subdivision !== undefined && TERRITORIES.includes(subdivision)

/** The packed continent of a packed country; 0 = unknown. */
export const continentOf = (country: number): number => continents.get(country) ?? 0

/** The countries of a continent, by octoDNS's codes. */
export const countriesOf = (continent: string): readonly string[] => (COUNTRIES[continent] ?? '').split(' ')

/** Whether a country belongs to a continent, by octoDNS's codes. */
export const isCountryOf = (continent: string, country: string): boolean =>
  continentOf(packCode(country)) === packCode(continent)

/** False if the country's subdivisions are known and this is none of them. */
export function mayBeSubdivision(country: string, subdivision: string): boolean {
  const named = states.get(packCode(country))
  return named === undefined || [...named.values()].includes(packCode(subdivision))
}

/** Whether the names of a packed country's subdivisions are known. */
export const namesStates = (country: number): boolean => states.has(country)

/** The packed subdivision of a packed country by its English name; 0 = unknown. */
export const stateOf = (country: number, name: string): number => states.get(country)?.get(name) ?? 0
