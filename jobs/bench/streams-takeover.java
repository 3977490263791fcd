import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The same take-over on Kafka Streams: two processes that keep a row a user in a RocksDB store with a changelog, of which one is
 * killed by SIGKILL while events come at a steady rate. The last line printed is a JSON list, one object a kill.
 *
 * Arguments: broker, users, events of each, events a second, kills, guarantee, session ms, heartbeat ms, folder, this file. Run as
 * a single source file with the jars of kafka-streams on the class path. Everything but the session is as Streams has it by
 * default, so there are no standby replicas; and a new worker is asked every minute whether its copies are ready, so that the
 * next kill need not wait for ten.
 */
class StreamsTakeover {
  static final int PARTITIONS = 4;
  static final int WORKERS = 2;
  /** What a user's row takes in the store that this is compared with, bytes. */
  static final int ROW_BYTES = 480;
  static final String STORE = "rows";
  static final String RESTORED = "restored ";
  /** What the dead worker had sent is in by then, and nobody has taken over yet, ms. */
  static final int IN_FLIGHT_MS = 500;
  /** The least that Streams takes. */
  static final long PROBING_MS = 60_000;
  static final int REST_MS = 3_000;
  static final int LOOK_MS = 10;
  static final int WAIT_MS_MAX = 600_000;

  public static void main(String[] words) throws Exception {
    if (words[0].equals("worker")) work(words);
    else new StreamsTakeover(words).run();
  }

  /** Arguments: worker, broker, topic, guarantee, session ms, heartbeat ms, name, folder. */
  static void work(String[] words) {
    String topic = words[2];
    Topology topology = new Topology();
    topology.addSource("in", new StringDeserializer(), new ByteArrayDeserializer(), topic);
    topology.addProcessor("count", Counter::new, "in");
    var store = Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray());
    topology.addStateStore(store, "count");
    topology.addSink("out", topic + "-out", new StringSerializer(), new ByteArraySerializer(), "count");
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, topic);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, words[1]);
    settings.put(StreamsConfig.CLIENT_ID_CONFIG, words[6]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, words[7]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, words[3]);
    settings.put(StreamsConfig.PROBING_REBALANCE_INTERVAL_MS_CONFIG, PROBING_MS);
    settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), words[4]);
    settings.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), words[5]);
    settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    KafkaStreams streams = new KafkaStreams(topology, settings);
    streams.setGlobalStateRestoreListener(new Restores());
    streams.start();
  }

  /** Counts a user's events in a row padded to its size. */
  static class Counter implements Processor<String, byte[], String, byte[]> {
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> rows;

    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      rows = context.getStateStore(STORE);
    }

    public void process(Record<String, byte[]> event) {
      byte[] row = rows.get(event.key());
      if (row == null) {
        row = new byte[ROW_BYTES];
        new Random(event.key().hashCode()).nextBytes(row);
        ByteBuffer.wrap(row).putLong(0, 0);
      }
      ByteBuffer count = ByteBuffer.wrap(row);
      count.putLong(0, count.getLong(0) + 1);
      rows.put(event.key(), row);
      context.forward(event.withValue(event.value()));
    }
  }

  static class Restores implements StateRestoreListener {
    public void onRestoreStart(TopicPartition partition, String store, long start, long end) {}

    public void onBatchRestored(TopicPartition partition, String store, long end, long records) {}

    public void onRestoreEnd(TopicPartition partition, String store, long records) {
      System.out.println(RESTORED + records);
    }
  }

  final String broker, guarantee, session, heartbeat, source;
  final int users, events, rate, kills;
  final Path folder;
  final String topic = "takeover-" + Long.toHexString(System.nanoTime());
  final Process[] workers = new Process[WORKERS];
  final String[] names = new String[WORKERS];
  final AtomicLong restored = new AtomicLong();
  final Admin admin;
  final KafkaProducer<String, byte[]> producer;
  volatile boolean isStopping;
  int started;

  StreamsTakeover(String[] words) {
    broker = words[0];
    users = Integer.parseInt(words[1]);
    events = Integer.parseInt(words[2]);
    rate = Integer.parseInt(words[3]);
    kills = Integer.parseInt(words[4]);
    guarantee = words[5];
    session = words[6];
    heartbeat = words[7];
    folder = Path.of(words[8]);
    source = words[9];
    Map<String, Object> settings = Map.of("bootstrap.servers", broker, "linger.ms", 5);
    admin = Admin.create(settings);
    producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer());
  }

  void run() throws Exception {
    List<NewTopic> topics = List.of(topic, topic + "-out").stream()
        .map(name -> new NewTopic(name, Optional.of(PARTITIONS), Optional.empty())).toList();
    admin.createTopics(topics).all().get();
    try {
      for (int n = 0; n < events; n++) for (int user = 0; user < users; user++) send(user);
      producer.flush();
      for (int i = 0; i < WORKERS; i++) start(i);
      until("everything is processed", () -> isBalanced() && lag() == 0);
      Thread traffic = new Thread(this::sendSteadily);
      traffic.start();
      List<String> results = new ArrayList<>();
      for (int n = 0; n < kills; n++) results.add(kill(n % WORKERS));
      isStopping = true;
      traffic.join();
      System.out.println(results);
    } finally {
      for (Process worker : workers) if (worker != null) worker.destroyForcibly().waitFor();
      producer.close();
      admin.close();
    }
  }

  String kill(int i) throws Exception {
    until("both have partitions", () -> isBalanced() && lag() < rate);
    Thread.sleep(REST_MS);
    Set<Integer> dead = assignments().get(i);
    restored.set(0);
    long killed = System.nanoTime();
    workers[i].destroyForcibly().waitFor();
    Thread.sleep(IN_FLIGHT_MS);
    Map<Integer, Long> before = committed();
    Map<Integer, Double> found = new HashMap<>();
    until("somebody commits", () -> {
      Map<Integer, Long> now = committed();
      double ms = (System.nanoTime() - killed) / 1e6;
      for (int partition : dead) {
        if (!now.get(partition).equals(before.get(partition))) found.putIfAbsent(partition, ms);
      }
      return found.size() == dead.size();
    });
    double first = found.values().stream().min(Double::compare).orElseThrow();
    double all = found.values().stream().max(Double::compare).orElseThrow();
    start(i);
    String form = "{\"firstCommitMs\":%.0f,\"usersMs\":%.0f,\"restoredRecords\":%d}";
    String result = String.format(form, first, all, restored.get());
    System.err.println(result);
    return result;
  }

  void start(int i) throws Exception {
    names[i] = "worker-" + started++;
    Path state = Files.createDirectories(folder.resolve(names[i]));
    String java = ProcessHandle.current().info().command().orElse("java");
    List<String> command = List.of(java, "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp",
        System.getProperty("java.class.path"), source, "worker", broker, topic, guarantee, session, heartbeat, names[i],
        state.toString());
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    Process worker = builder.start();
    workers[i] = worker;
    Thread reader = new Thread(() -> worker.inputReader().lines()
        .filter(line -> line.startsWith(RESTORED))
        .forEach(line -> restored.addAndGet(Long.parseLong(line.substring(RESTORED.length())))));
    reader.setDaemon(true);
    reader.start();
  }

  void send(int user) {
    producer.send(new ProducerRecord<>(topic, "user-" + user, new byte[16]));
  }

  void sendSteadily() {
    Random random = new Random(1);
    long started = System.nanoTime();
    for (long sent = 0; !isStopping; sent++) {
      long aheadMs = sent * 1_000 / rate - (System.nanoTime() - started) / 1_000_000;
      if (aheadMs > 0) pause(aheadMs);
      send(random.nextInt(users));
    }
  }

  /** Partitions of the input by worker. */
  Map<Integer, Set<Integer>> assignments() {
    try {
      var group = admin.describeConsumerGroups(List.of(topic)).all().get().get(topic);
      Map<Integer, Set<Integer>> found = new HashMap<>();
      for (var member : group.members()) {
        for (int i = 0; i < WORKERS; i++) {
          if (!member.clientId().startsWith(names[i] + "-")) continue;
          found.put(i, member.assignment().topicPartitions().stream()
              .filter(partition -> partition.topic().equals(topic)).map(TopicPartition::partition)
              .collect(Collectors.toSet()));
        }
      }
      return found;
    } catch (Exception error) {
      return Map.of();
    }
  }

  boolean isBalanced() {
    Map<Integer, Set<Integer>> found = assignments();
    return found.size() == WORKERS && found.values().stream().allMatch(own -> own.size() == PARTITIONS / WORKERS);
  }

  /** By partition; 0 before the first commit. */
  Map<Integer, Long> committed() {
    try {
      var offsets = admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get();
      Map<Integer, Long> found = new HashMap<>();
      for (int partition = 0; partition < PARTITIONS; partition++) {
        var offset = offsets.get(new TopicPartition(topic, partition));
        found.put(partition, offset == null ? 0 : offset.offset());
      }
      return found;
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  long lag() {
    try {
      Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
      for (int i = 0; i < PARTITIONS; i++) wanted.put(new TopicPartition(topic, i), OffsetSpec.latest());
      var ends = admin.listOffsets(wanted).all().get();
      Map<Integer, Long> done = committed();
      return ends.entrySet().stream().mapToLong(end -> end.getValue().offset() - done.get(end.getKey().partition())).sum();
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  static void until(String what, BooleanSupplier check) {
    long deadline = System.nanoTime() + WAIT_MS_MAX * 1_000_000L;
    while (!check.getAsBoolean()) {
      if (System.nanoTime() > deadline) throw new IllegalStateException("waited in vain until " + what);
      pause(LOOK_MS);
    }
  }

  static void pause(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException error) {
      throw new IllegalStateException(error);
    }
  }
}
