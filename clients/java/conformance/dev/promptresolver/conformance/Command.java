package dev.promptresolver.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Struct;
import com.google.protobuf.util.JsonFormat;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** One command of the suite. What is null in it counts as not there. */
record Command(JsonObject fields) {
  Command(JsonElement parsed) {
    this(parsed.getAsJsonObject());
  }

  String op() {
    return need("op");
  }

  String need(String name) {
    return text(name).orElseThrow();
  }

  Optional<String> text(String name) {
    return get(name).map(JsonElement::getAsString);
  }

  Optional<Integer> number(String name) {
    return get(name).map(JsonElement::getAsInt);
  }

  Optional<Duration> millis(String name) {
    return get(name).map(JsonElement::getAsLong).map(Duration::ofMillis);
  }

  Optional<Command> object(String name) {
    return get(name).map(Command::new);
  }

  List<String> texts(String name) {
    var texts = new ArrayList<String>();
    fields.getAsJsonArray(name).forEach(text -> texts.add(text.getAsString()));
    return texts;
  }

  Map<String, String> headers() {
    return object("metadata").stream()
        .flatMap(metadata -> metadata.fields.entrySet().stream())
        .collect(Collectors.toMap(Map.Entry::getKey, entry -> entry.getValue().getAsString()));
  }

  Struct variables() throws InvalidProtocolBufferException {
    var variables = Struct.newBuilder();
    JsonFormat.parser().merge(get("variables").orElseGet(JsonObject::new).toString(), variables);
    return variables.build();
  }

  private Optional<JsonElement> get(String name) {
    return Optional.ofNullable(fields.get(name)).filter(value -> !value.isJsonNull());
  }
}
