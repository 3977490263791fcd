/**
 * GENERATED from schemas/avro/*.avsc by schemas/generate.ts: change the schemas and generate again, never this file.
 *
 * JSON text of each schema with its fingerprint. Text, because parsing it is faster to load than the same thing as an
 * object literal, and nobody can change it by accident.
 */
export interface EmbeddedSchema {
  readonly kind: string;
  /** CRC-64-AVRO of the canonical form, 16 hexadecimal digits. */
  readonly fingerprint: string;
  readonly schema: string;
}

/** One a record kind: what is written, and what is read into. */
export const AVRO_SCHEMAS: readonly EmbeddedSchema[] = [
  {
    kind: 'Control',
    fingerprint: 'd7a652432341586a',
    schema:
      '{"type":"record","name":"Control","namespace":"freshet","fields":[{"name":"ts","type":"long"},{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"payload","type":["null","string"],"default":null}]}',
  },
  {
    kind: 'DeadLetter',
    fingerprint: '471294668f927137',
    schema:
      '{"type":"record","name":"DeadLetter","namespace":"freshet","fields":[{"name":"topic","type":"string"},{"name":"partition","type":"int"},{"name":"offset","type":"long"},{"name":"key","type":"string"},{"name":"code","type":"string"},{"name":"reason","type":"string"},{"name":"operator","type":["null","string"],"default":null},{"name":"at","type":"long"},{"name":"value","type":"bytes"}]}',
  },
  {
    kind: 'Erase',
    fingerprint: 'c183896609853b4b',
    schema:
      '{"type":"record","name":"Erase","namespace":"freshet","fields":[{"name":"eventId","type":"string"},{"name":"userId","type":"string"},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"reason","type":["null","string"],"default":null}]}',
  },
  {
    kind: 'FeedHint',
    fingerprint: 'f3fef058950141c8',
    schema:
      '{"type":"record","name":"FeedHint","namespace":"freshet","fields":[{"name":"userId","type":"string"},{"name":"generation","type":"long"},{"name":"partition","type":"int"},{"name":"offset","type":"long"},{"name":"eventIds","type":{"type":"array","items":"string"}}]}',
  },
  {
    kind: 'Forwarded',
    fingerprint: '1cdfe7e6ef6cd1dc',
    schema:
      '{"type":"record","name":"Forwarded","namespace":"freshet","fields":[{"name":"userId","type":"string"},{"name":"path","type":{"type":"array","items":"string"}},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"value","type":"bytes"}]}',
  },
  {
    kind: 'Identify',
    fingerprint: '14fa1c0ebe1a37a5',
    schema:
      '{"type":"record","name":"Identify","namespace":"freshet","fields":[{"name":"eventId","type":"string"},{"name":"anonymousId","type":"string"},{"name":"userId","type":"string"},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"producerId","type":"string"}]}',
  },
  {
    kind: 'Impression',
    fingerprint: '25d951d8d5dff5eb',
    schema:
      '{"type":"record","name":"Impression","namespace":"freshet","fields":[{"name":"eventId","type":"string"},{"name":"userId","type":"string"},{"name":"anonymousId","type":["null","string"],"default":null},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"utcOffset","type":["null","int"],"default":null},{"name":"producerId","type":"string"},{"name":"sessionId","type":["null","string"],"default":null},{"name":"stage","type":{"type":"enum","name":"ImpressionStage","namespace":"freshet","symbols":["served","viewed"]}},{"name":"requestId","type":"string"},{"name":"placement","type":"string"},{"name":"slate","type":{"type":"array","items":{"type":"record","name":"SlateItem","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"position","type":"int"},{"name":"propensity","type":["null","double"],"default":null},{"name":"source","type":["null","string"],"default":null}]}}},{"name":"eligibleCount","type":["null","int"],"default":null},{"name":"versions","type":["null",{"type":"record","name":"Versions","namespace":"freshet","fields":[{"name":"policy","type":["null","string"],"default":null},{"name":"models","type":{"type":"map","values":"string"},"default":{}},{"name":"features","type":["null","string"],"default":null},{"name":"space","type":["null","string"],"default":null}]}],"default":null},{"name":"assignments","type":{"type":"array","items":{"type":"record","name":"Assignment","namespace":"freshet","fields":[{"name":"experiment","type":"string"},{"name":"variant","type":"string"}]}},"default":[]},{"name":"consent","type":["null",{"type":"record","name":"Consent","namespace":"freshet","fields":[{"name":"personalization","type":"boolean"},{"name":"analytics","type":"boolean"}]}],"default":null},{"name":"context","type":["null",{"type":"record","name":"Context","namespace":"freshet","fields":[{"name":"device","type":["null","string"],"default":null},{"name":"os","type":["null","string"],"default":null},{"name":"country","type":["null","string"],"default":null},{"name":"region","type":["null","string"],"default":null},{"name":"latitude","type":["null","double"],"default":null},{"name":"longitude","type":["null","double"],"default":null},{"name":"weather","type":["null","string"],"default":null},{"name":"referrer","type":["null","string"],"default":null},{"name":"page","type":["null","string"],"default":null},{"name":"language","type":["null","string"],"default":null},{"name":"attributes","type":{"type":"map","values":"string"},"default":{}}]}],"default":null}]}',
  },
  {
    kind: 'Interaction',
    fingerprint: 'f02c913b28237886',
    schema:
      '{"type":"record","name":"Interaction","namespace":"freshet","fields":[{"name":"eventId","type":"string"},{"name":"userId","type":"string"},{"name":"anonymousId","type":["null","string"],"default":null},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"utcOffset","type":["null","int"],"default":null},{"name":"producerId","type":"string"},{"name":"sessionId","type":["null","string"],"default":null},{"name":"type","type":{"type":"enum","name":"InteractionType","namespace":"freshet","symbols":["view","click","like","dislike","share","bookmark","comment","follow","addToCart","removeFromCart","purchase","rate","skip","block"],"default":"view"}},{"name":"itemId","type":"string"},{"name":"value","type":["null","double"],"default":null},{"name":"currency","type":["null","string"],"default":null},{"name":"quantity","type":["null","double"],"default":null},{"name":"dwellMs","type":["null","long"],"default":null},{"name":"consent","type":["null",{"type":"record","name":"Consent","namespace":"freshet","fields":[{"name":"personalization","type":"boolean"},{"name":"analytics","type":"boolean"}]}],"default":null},{"name":"context","type":["null",{"type":"record","name":"Context","namespace":"freshet","fields":[{"name":"device","type":["null","string"],"default":null},{"name":"os","type":["null","string"],"default":null},{"name":"country","type":["null","string"],"default":null},{"name":"region","type":["null","string"],"default":null},{"name":"latitude","type":["null","double"],"default":null},{"name":"longitude","type":["null","double"],"default":null},{"name":"weather","type":["null","string"],"default":null},{"name":"referrer","type":["null","string"],"default":null},{"name":"page","type":["null","string"],"default":null},{"name":"language","type":["null","string"],"default":null},{"name":"attributes","type":{"type":"map","values":"string"},"default":{}}]}],"default":null},{"name":"attribution","type":["null",{"type":"record","name":"Attribution","namespace":"freshet","fields":[{"name":"requestId","type":"string"},{"name":"placement","type":["null","string"],"default":null},{"name":"position","type":["null","int"],"default":null},{"name":"propensity","type":["null","double"],"default":null},{"name":"eligibleCount","type":["null","int"],"default":null},{"name":"versions","type":["null",{"type":"record","name":"Versions","namespace":"freshet","fields":[{"name":"policy","type":["null","string"],"default":null},{"name":"models","type":{"type":"map","values":"string"},"default":{}},{"name":"features","type":["null","string"],"default":null},{"name":"space","type":["null","string"],"default":null}]}],"default":null},{"name":"assignments","type":{"type":"array","items":{"type":"record","name":"Assignment","namespace":"freshet","fields":[{"name":"experiment","type":"string"},{"name":"variant","type":"string"}]}},"default":[]}]}],"default":null}]}',
  },
  {
    kind: 'ItemCatalogueState',
    fingerprint: 'da37023bfa548268',
    schema:
      '{"type":"record","name":"ItemCatalogueState","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"version","type":"long"},{"name":"deleted","type":"boolean"},{"name":"title","type":["null","string"],"default":null},{"name":"description","type":["null","string"],"default":null},{"name":"categories","type":{"type":"array","items":"string"},"default":[]},{"name":"brand","type":["null","string"],"default":null},{"name":"tags","type":{"type":"array","items":"string"},"default":[]},{"name":"price","type":["null","double"],"default":null},{"name":"currency","type":["null","string"],"default":null},{"name":"available","type":"boolean","default":true},{"name":"publishedAt","type":["null","long"],"default":null},{"name":"imageUrl","type":["null","string"],"default":null},{"name":"attributes","type":{"type":"map","values":"string"},"default":{}}]}',
  },
  {
    kind: 'ItemCtrState',
    fingerprint: '00627edba2521e35',
    schema:
      '{"type":"record","name":"ItemCtrState","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"version","type":"long"},{"name":"refTime","type":"long"},{"name":"exposures","type":"double"},{"name":"clicks","type":"double"},{"name":"weightedExposures","type":"double"}]}',
  },
  {
    kind: 'ItemDelete',
    fingerprint: '898e90dd33399d58',
    schema:
      '{"type":"record","name":"ItemDelete","namespace":"freshet","fields":[{"name":"eventId","type":"string"},{"name":"itemId","type":"string"},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"producerId","type":"string"}]}',
  },
  {
    kind: 'ItemEmbeddingState',
    fingerprint: '48a0b8346ac9f4af',
    schema:
      '{"type":"record","name":"ItemEmbeddingState","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"version","type":"long"},{"name":"space","type":"string"},{"name":"vector","type":"bytes"},{"name":"updates","type":"long"}]}',
  },
  {
    kind: 'ItemExposure',
    fingerprint: '120d416eb8a47249',
    schema:
      '{"type":"record","name":"ItemExposure","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"ts","type":"long"},{"name":"position","type":"int"},{"name":"placement","type":"string"}]}',
  },
  {
    kind: 'ItemInteraction',
    fingerprint: 'fcf3b971eb28e4f5',
    schema:
      '{"type":"record","name":"ItemInteraction","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"ts","type":"long"},{"name":"type","type":{"type":"enum","name":"InteractionType","namespace":"freshet","symbols":["view","click","like","dislike","share","bookmark","comment","follow","addToCart","removeFromCart","purchase","rate","skip","block"],"default":"view"}},{"name":"weight","type":"float"},{"name":"sessionRef","type":"long"},{"name":"categories","type":{"type":"array","items":"string"},"default":[]},{"name":"segments","type":{"type":"array","items":"string"},"default":[]},{"name":"attributed","type":"boolean","default":false},{"name":"space","type":["null","string"],"default":null},{"name":"userVector","type":["null","bytes"],"default":null}]}',
  },
  {
    kind: 'ItemNeighboursState',
    fingerprint: '39ad3c8d4caab524',
    schema:
      '{"type":"record","name":"ItemNeighboursState","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"version","type":"long"},{"name":"refTime","type":"long"},{"name":"total","type":"double"},{"name":"neighbours","type":{"type":"array","items":{"type":"record","name":"Neighbour","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"weight","type":"float"}]}}}]}',
  },
  {
    kind: 'ItemPair',
    fingerprint: '9ab9669ff2712a54',
    schema:
      '{"type":"record","name":"ItemPair","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"otherItemId","type":"string"},{"name":"ts","type":"long"},{"name":"weight","type":"float"},{"name":"following","type":"boolean"}]}',
  },
  {
    kind: 'ItemPopularityState',
    fingerprint: '7a1e4aceb43a68ca',
    schema:
      '{"type":"record","name":"ItemPopularityState","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"version","type":"long"},{"name":"refTime","type":"long"},{"name":"counts","type":{"type":"array","items":"double"}},{"name":"segments","type":{"type":"array","items":{"type":"record","name":"SegmentCounts","namespace":"freshet","fields":[{"name":"segment","type":"string"},{"name":"refTime","type":"long"},{"name":"counts","type":{"type":"array","items":"double"}}]}},"default":[]}]}',
  },
  {
    kind: 'ItemSessionsState',
    fingerprint: '7825ed3a589ab4db',
    schema:
      '{"type":"record","name":"ItemSessionsState","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"version","type":"long"},{"name":"block","type":"int"},{"name":"sessions","type":{"type":"array","items":{"type":"record","name":"SessionRef","namespace":"freshet","fields":[{"name":"sessionRef","type":"long"},{"name":"ts","type":"long"}]}}}]}',
  },
  {
    kind: 'ItemUpsert',
    fingerprint: '6359e1b27825bc6a',
    schema:
      '{"type":"record","name":"ItemUpsert","namespace":"freshet","fields":[{"name":"eventId","type":"string"},{"name":"itemId","type":"string"},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"producerId","type":"string"},{"name":"title","type":["null","string"],"default":null},{"name":"description","type":["null","string"],"default":null},{"name":"categories","type":{"type":"array","items":"string"},"default":[]},{"name":"brand","type":["null","string"],"default":null},{"name":"tags","type":{"type":"array","items":"string"},"default":[]},{"name":"price","type":["null","double"],"default":null},{"name":"currency","type":["null","string"],"default":null},{"name":"available","type":"boolean","default":true},{"name":"publishedAt","type":["null","long"],"default":null},{"name":"imageUrl","type":["null","string"],"default":null},{"name":"attributes","type":{"type":"map","values":"string"},"default":{}}]}',
  },
  {
    kind: 'ModelPublished',
    fingerprint: '970d16569501abe1',
    schema:
      '{"type":"record","name":"ModelPublished","namespace":"freshet","fields":[{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"manifest","type":"string"},{"name":"checksum","type":"string"},{"name":"signature","type":"string"},{"name":"publishedAt","type":"long"}]}',
  },
  {
    kind: 'Reward',
    fingerprint: '701e768a1eb66d5a',
    schema:
      '{"type":"record","name":"Reward","namespace":"freshet","fields":[{"name":"userId","type":"string"},{"name":"requestId","type":"string"},{"name":"placement","type":"string"},{"name":"viewedAt","type":"long"},{"name":"settledAt","type":"long"},{"name":"outcomes","type":{"type":"array","items":{"type":"record","name":"Outcome","namespace":"freshet","fields":[{"name":"itemId","type":"string"},{"name":"position","type":"int"},{"name":"propensity","type":["null","double"],"default":null},{"name":"reward","type":"double"},{"name":"feedback","type":{"type":"array","items":{"type":"enum","name":"InteractionType","namespace":"freshet","symbols":["view","click","like","dislike","share","bookmark","comment","follow","addToCart","removeFromCart","purchase","rate","skip","block"],"default":"view"}}}]}}},{"name":"eligibleCount","type":["null","int"],"default":null},{"name":"versions","type":["null",{"type":"record","name":"Versions","namespace":"freshet","fields":[{"name":"policy","type":["null","string"],"default":null},{"name":"models","type":{"type":"map","values":"string"},"default":{}},{"name":"features","type":["null","string"],"default":null},{"name":"space","type":["null","string"],"default":null}]}],"default":null},{"name":"assignments","type":{"type":"array","items":{"type":"record","name":"Assignment","namespace":"freshet","fields":[{"name":"experiment","type":"string"},{"name":"variant","type":"string"}]}},"default":[]},{"name":"context","type":["null",{"type":"record","name":"Context","namespace":"freshet","fields":[{"name":"device","type":["null","string"],"default":null},{"name":"os","type":["null","string"],"default":null},{"name":"country","type":["null","string"],"default":null},{"name":"region","type":["null","string"],"default":null},{"name":"latitude","type":["null","double"],"default":null},{"name":"longitude","type":["null","double"],"default":null},{"name":"weather","type":["null","string"],"default":null},{"name":"referrer","type":["null","string"],"default":null},{"name":"page","type":["null","string"],"default":null},{"name":"language","type":["null","string"],"default":null},{"name":"attributes","type":{"type":"map","values":"string"},"default":{}}]}],"default":null}]}',
  },
  {
    kind: 'SessionClosed',
    fingerprint: '88987e8ec2be120b',
    schema:
      '{"type":"record","name":"SessionClosed","namespace":"freshet","fields":[{"name":"userId","type":"string"},{"name":"sessionId","type":"string"},{"name":"revision","type":"int"},{"name":"start","type":"long"},{"name":"end","type":"long"},{"name":"durationMs","type":"long"},{"name":"pageViews","type":"int"},{"name":"interactions","type":"int"},{"name":"conversions","type":"int"},{"name":"bounced","type":"boolean"},{"name":"lastItems","type":{"type":"array","items":"string"}},{"name":"categories","type":{"type":"array","items":"string"}},{"name":"withdrawn","type":"boolean","default":false}]}',
  },
  {
    kind: 'StateMerge',
    fingerprint: 'f2d19b004ae32a3b',
    schema:
      '{"type":"record","name":"StateMerge","namespace":"freshet","fields":[{"name":"eventId","type":"string"},{"name":"userId","type":"string"},{"name":"path","type":{"type":"array","items":"string"}},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"cells","type":{"type":"array","items":{"type":"record","name":"Cell","namespace":"freshet","fields":[{"name":"operator","type":"string"},{"name":"version","type":"int"},{"name":"bytes","type":"bytes"}]}}}]}',
  },
  {
    kind: 'Tick',
    fingerprint: '6e99f11f4786798c',
    schema:
      '{"type":"record","name":"Tick","namespace":"freshet","fields":[{"name":"ts","type":"long"},{"name":"ownerToken","type":"string"}]}',
  },
  {
    kind: 'UserUpsert',
    fingerprint: 'f8707196f1e10f38',
    schema:
      '{"type":"record","name":"UserUpsert","namespace":"freshet","fields":[{"name":"eventId","type":"string"},{"name":"userId","type":"string"},{"name":"ts","type":"long"},{"name":"receivedAt","type":"long"},{"name":"producerId","type":"string"},{"name":"segments","type":{"type":"array","items":"string"},"default":[]},{"name":"traits","type":{"type":"map","values":"string"},"default":{}},{"name":"consent","type":["null",{"type":"record","name":"Consent","namespace":"freshet","fields":[{"name":"personalization","type":"boolean"},{"name":"analytics","type":"boolean"}]}],"default":null}]}',
  },
];

/** Released earlier and no longer written; still read. */
export const AVRO_HISTORY: readonly EmbeddedSchema[] = [];
