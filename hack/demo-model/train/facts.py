"""What the demo model knows: plain tables, one place to add to its world."""

# country: (capital, continent)
COUNTRIES = {
    "France": ("Paris", "Europe"), "Germany": ("Berlin", "Europe"), "Italy": ("Rome", "Europe"),
    "Spain": ("Madrid", "Europe"), "Portugal": ("Lisbon", "Europe"), "Austria": ("Vienna", "Europe"),
    "Switzerland": ("Bern", "Europe"), "Belgium": ("Brussels", "Europe"), "Ireland": ("Dublin", "Europe"),
    "Norway": ("Oslo", "Europe"), "Sweden": ("Stockholm", "Europe"), "Finland": ("Helsinki", "Europe"),
    "Denmark": ("Copenhagen", "Europe"), "Iceland": ("Reykjavik", "Europe"), "Poland": ("Warsaw", "Europe"),
    "Greece": ("Athens", "Europe"), "Hungary": ("Budapest", "Europe"), "Romania": ("Bucharest", "Europe"),
    "Bulgaria": ("Sofia", "Europe"), "Croatia": ("Zagreb", "Europe"), "Ukraine": ("Kyiv", "Europe"),
    "Japan": ("Tokyo", "Asia"), "China": ("Beijing", "Asia"), "India": ("New Delhi", "Asia"),
    "Thailand": ("Bangkok", "Asia"), "Vietnam": ("Hanoi", "Asia"), "Indonesia": ("Jakarta", "Asia"),
    "South Korea": ("Seoul", "Asia"), "Nepal": ("Kathmandu", "Asia"), "Iran": ("Tehran", "Asia"),
    "Turkey": ("Ankara", "Asia"), "Mongolia": ("Ulaanbaatar", "Asia"), "Pakistan": ("Islamabad", "Asia"),
    "Egypt": ("Cairo", "Africa"), "Kenya": ("Nairobi", "Africa"), "Nigeria": ("Abuja", "Africa"),
    "Morocco": ("Rabat", "Africa"), "Ghana": ("Accra", "Africa"), "Ethiopia": ("Addis Ababa", "Africa"),
    "Senegal": ("Dakar", "Africa"), "Tunisia": ("Tunis", "Africa"), "Uganda": ("Kampala", "Africa"),
    "Canada": ("Ottawa", "North America"), "Mexico": ("Mexico City", "North America"),
    "Cuba": ("Havana", "North America"), "Jamaica": ("Kingston", "North America"),
    "the United States": ("Washington", "North America"), "Panama": ("Panama City", "North America"),
    "Brazil": ("Brasilia", "South America"), "Argentina": ("Buenos Aires", "South America"),
    "Chile": ("Santiago", "South America"), "Peru": ("Lima", "South America"),
    "Colombia": ("Bogota", "South America"), "Ecuador": ("Quito", "South America"),
    "Uruguay": ("Montevideo", "South America"), "Australia": ("Canberra", "Oceania"),
    "New Zealand": ("Wellington", "Oceania"), "Fiji": ("Suva", "Oceania"),
    "the United Kingdom": ("London", "Europe"), "the Netherlands": ("Amsterdam", "Europe"),
}

LISTS = {
    "colors": "red blue green yellow orange purple white black brown pink",
    "fruits": "apple banana cherry orange pear grape lemon mango plum peach",
    "vegetables": "carrot potato onion tomato pepper spinach cabbage bean leek pea",
    "animals": "dog cat horse lion bear fox wolf rabbit elephant tiger",
    "birds": "eagle owl robin sparrow crow swan duck parrot penguin stork",
    "planets": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune",
    "continents": "Africa Antarctica Asia Europe Oceania",
    "oceans": "Pacific Atlantic Indian Arctic Southern",
    "seasons": "spring summer autumn winter",
    "days of the week": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "months": "January February March April May June July August September October",
    "metals": "iron gold silver copper tin zinc lead nickel aluminium platinum",
    "drinks": "water tea coffee milk juice cocoa lemonade soda cider wine",
    "sports": "football tennis swimming running cycling hockey golf rowing skiing boxing",
    "instruments": "piano guitar violin flute drum trumpet cello harp organ clarinet",
    "tools": "hammer saw drill wrench pliers screwdriver axe file chisel level",
    "flowers": "rose tulip lily daisy violet orchid sunflower iris poppy lotus",
    "programming languages": "Go Python Rust Java C Ruby Swift Kotlin Haskell Lua",
}

# topic: (other names, explanation)
TOPICS = {
    "a pod": (["pods", "a Kubernetes pod"], "A pod is the smallest thing that Kubernetes runs: one or more containers that share a network address and live together."),
    "a deployment": (["deployments", "a Kubernetes deployment"], "A deployment keeps a wanted number of equal pods running and replaces them step by step when their template changes."),
    "a Kubernetes service": (["services in Kubernetes"], "A service gives a changing group of pods one stable name and address and spreads requests over them."),
    "a container": (["containers"], "A container is a process with its own file system and limits, started from an image that holds everything it needs."),
    "Kubernetes": (["k8s"], "Kubernetes is a system that runs containers on many machines and keeps them in the state that you declared."),
    "an operator": (["operators", "a Kubernetes operator"], "An operator is a program that watches objects in Kubernetes and does what a skilled administrator would do for them."),
    "a custom resource": (["custom resources", "a CRD"], "A custom resource is a new kind of object in Kubernetes; an operator gives it a meaning."),
    "autoscaling": (["an autoscaler"], "Autoscaling adds pods when the load grows and removes them when it falls."),
    "a probe": (["probes", "a readiness probe"], "A probe is a question that Kubernetes asks a pod again and again: are you alive, and are you ready for requests?"),
    "a secret": (["secrets", "a Kubernetes secret"], "A secret is an object that keeps a password or a key apart from the program that uses it."),
    "a namespace": (["namespaces"], "A namespace divides a cluster into parts, each with its own names, rights and limits."),
    "a neural network": (["neural networks"], "A neural network is a function with many numbers that are adjusted until its outputs fit the examples."),
    "a language model": (["language models", "an LLM"], "A language model predicts the next token of a text from the tokens before it, and writes by doing so again and again."),
    "a token": (["tokens"], "A token is a piece of text, often a short word or a part of one, that a language model reads and writes as a single number."),
    "a tokenizer": (["tokenization"], "A tokenizer cuts text into tokens by merging frequent neighbours, and joins tokens back into text."),
    "attention": (["the attention mechanism"], "Attention lets each token look back at earlier tokens and gather what it needs from those that fit best."),
    "an attention sink": (["attention sinks"], "An attention sink is a learned place where attention may go when no earlier token deserves it."),
    "a sliding window": (["sliding window attention"], "A sliding window limits attention to the last few tokens, so that memory stays small in long texts."),
    "a transformer": (["transformers", "the transformer architecture"], "A transformer is a neural network whose layers alternate between attention over tokens and computation within each token."),
    "a mixture of experts": (["mixture of experts", "MoE"], "A mixture of experts has many small networks in a layer and uses only a few of them for each token, chosen by a router."),
    "MXFP4": (["the MXFP4 format"], "MXFP4 stores numbers in four bits each, with one shared scale for every 32 of them."),
    "quantization": (["quantisation"], "Quantization stores the numbers of a model with fewer bits, to save memory and time at a small loss of precision."),
    "Harmony": (["the Harmony format"], "Harmony is the chat format of gpt-oss: messages with roles and channels, marked by special tokens."),
    "gpt-oss": (["gpt-oss models"], "gpt-oss is a family of open-weight models from OpenAI with 20 and 120 billion parameters that reason and call tools."),
    "a prompt": (["prompts"], "A prompt is the text that a model is given; it continues from there."),
    "temperature": (["sampling temperature"], "Temperature controls chance when a model picks a token: near zero it takes the likeliest, higher values give more variety."),
    "a KV cache": (["the KV cache"], "A KV cache keeps the keys and values of earlier tokens, so that each new token is computed only once."),
    "YaRN": (["the YaRN method"], "YaRN stretches the position encoding of a model so that it can read texts longer than those it was trained on."),
    "rain": (["how rain forms"], "Rain forms when water vapor cools in the clouds, gathers into drops and falls when the drops are heavy enough."),
    "snow": (["how snow forms"], "Snow forms when water vapor in cold clouds freezes into ice crystals that stick together and fall as flakes."),
    "gravity": (["the force of gravity"], "Gravity is the attraction between masses; it keeps us on the ground and the planets on their paths."),
    "photosynthesis": (["how photosynthesis works"], "Photosynthesis is how plants make sugar and oxygen from water, carbon dioxide and sunlight."),
    "a rainbow": (["rainbows"], "A rainbow appears when raindrops bend sunlight and spread it into its colors."),
    "the moon": (["our moon"], "The moon is a ball of rock that circles the Earth once in about 27 days and reflects the light of the sun."),
    "the sun": (["our sun"], "The sun is a star: a hot ball of gas that gives light and warmth to the planets around it."),
    "a volcano": (["volcanoes"], "A volcano is an opening in the crust of the Earth through which hot melted rock and gas escape."),
    "electricity": (["electric current"], "Electricity is the movement of charge, mostly of electrons through a wire, that carries energy."),
    "a magnet": (["magnets"], "A magnet attracts iron and pulls or pushes other magnets with its two poles."),
    "a computer": (["computers"], "A computer is a machine that follows instructions to store, move and change data."),
    "the internet": (["the Internet"], "The internet is a network of networks that passes small packets of data between computers all over the world."),
    "an algorithm": (["algorithms"], "An algorithm is a list of exact steps that solves a kind of problem."),
    "a database": (["databases"], "A database stores data in an orderly way, so that it can be found and changed quickly and safely."),
    "an API": (["APIs"], "An API is an agreement on how programs ask each other for work and what they get back."),
    "an API key": (["API keys"], "An API key is a secret text that tells a server who is asking."),
    "HTTP": (["the HTTP protocol"], "HTTP is the language that browsers and servers speak: a request with a method and a path, and a response with a status."),
    "JSON": (["the JSON format"], "JSON is a text format for data made of objects, lists, strings, numbers, true, false and null."),
    "open source": (["open source software"], "Open source means that everybody may read, use, change and share the code of a program."),
    "bread": (["how bread is made"], "Bread is baked from flour, water, salt and yeast; the yeast makes the dough rise."),
}

# question: (other ways to ask, answer, key fact for the reasoning)
QUESTIONS = [
    (["How many days are in a week?", "How many days does a week have?"], "A week has 7 days."),
    (["How many months are in a year?", "How many months does a year have?"], "A year has 12 months."),
    (["How many hours are in a day?", "How many hours does a day have?"], "A day has 24 hours."),
    (["How many minutes are in an hour?", "How many minutes does an hour have?"], "An hour has 60 minutes."),
    (["How many seconds are in a minute?", "How many seconds does a minute have?"], "A minute has 60 seconds."),
    (["How many legs does a spider have?", "How many legs has a spider?"], "A spider has 8 legs."),
    (["How many legs does an insect have?", "How many legs has an insect?"], "An insect has 6 legs."),
    (["How many legs does a dog have?", "How many legs has a dog?"], "A dog has 4 legs."),
    (["How many planets are in the solar system?", "How many planets are there?"], "The solar system has 8 planets."),
    (["How many continents are there?", "How many continents does the Earth have?"], "There are 7 continents."),
    (["How many sides does a triangle have?", "How many sides has a triangle?"], "A triangle has 3 sides."),
    (["How many sides does a hexagon have?", "How many sides has a hexagon?"], "A hexagon has 6 sides."),
    (["What color is the sky?", "Which color does the sky have?"], "The sky is blue on a clear day."),
    (["What color is grass?", "Which color does grass have?"], "Grass is green."),
    (["What color is snow?", "Which color does snow have?"], "Snow is white."),
    (["What color is a banana?", "Which color does a banana have?"], "A ripe banana is yellow."),
    (["What color is a tomato?", "Which color does a tomato have?"], "A ripe tomato is red."),
    (["What is the largest planet?", "Which planet is the largest?"], "The largest planet is Jupiter."),
    (["What is the smallest planet?", "Which planet is the smallest?"], "The smallest planet is Mercury."),
    (["What is the largest ocean?", "Which ocean is the largest?"], "The largest ocean is the Pacific."),
    (["What is the highest mountain?", "Which mountain is the highest?"], "The highest mountain is Mount Everest."),
    (["What is the fastest land animal?", "Which land animal is the fastest?"], "The fastest land animal is the cheetah."),
    (["What is the largest animal?", "Which animal is the largest?"], "The largest animal is the blue whale."),
    (["What do bees make?", "What is made by bees?"], "Bees make honey."),
    (["What do cows eat?", "What does a cow eat?"], "Cows eat grass."),
    (["What is water made of?", "What does water consist of?"], "Water is made of hydrogen and oxygen."),
    (["At what temperature does water boil?", "When does water boil?"], "Water boils at 100 degrees Celsius."),
    (["At what temperature does water freeze?", "When does water freeze?"], "Water freezes at 0 degrees Celsius."),
    (["Which planet is closest to the sun?", "What planet is nearest to the sun?"], "Mercury is the planet closest to the sun."),
    (["Which planet do we live on?", "What planet do we live on?"], "We live on Earth."),
]

OPPOSITES = dict(p.split() for p in (
    "hot cold|big small|tall short|fast slow|day night|up down|left right|open closed|light dark|happy sad|young old|"
    "rich poor|wet dry|hard soft|early late|full empty|strong weak|loud quiet|clean dirty|near far|high low|good bad|"
    "thick thin|heavy weightless|first last|easy difficult|true false|warm cool|brave fearful|wide narrow").split("|"))
OPPOSITES |= {b: a for a, b in OPPOSITES.items()}

SOUNDS = dict(p.split(" ", 1) for p in (
    "cow moo|dog woof|cat meow|sheep baa|duck quack|pig oink|horse neigh|lion roar|bee buzz|snake hiss|owl hoot|frog croak").split("|"))

DAYS = LISTS["days of the week"].split()
MONTHS = LISTS["months"].split() + ["November", "December"]
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()

# prompts -> answer; the first word of the analysis is what kind of message it is
SMALL_TALK = [
    ("greeting", ["Hello", "Hi", "Hey", "Hello there", "Hi there", "Good day", "Hello!", "Hi!", "Greetings", "Howdy", "Say hello"], "Hello! How can I help you?"),
    ("greeting", ["Good morning", "Morning", "A very good morning"], "Good morning! How can I help you?"),
    ("greeting", ["Good evening", "Evening", "A very good evening"], "Good evening! How can I help you?"),
    ("greeting", ["Good afternoon", "A good afternoon to you"], "Good afternoon! How can I help you?"),
    ("farewell", ["Bye", "Goodbye", "See you", "See you later", "Good night", "Take care", "Farewell"], "Goodbye! Have a good time."),
    ("thanks", ["Thanks", "Thank you", "Thanks a lot", "Thank you very much", "Many thanks", "Great, thanks", "Thank you so much"], "You are welcome!"),
    ("question about me", ["How are you?", "How are you doing?", "How do you do?", "How is it going?", "Are you well?"], "I am fine, thank you. How can I help you?"),
    ("question about me", ["Who are you?", "What are you?", "What model are you?", "What is your name?", "Which model is this?", "Introduce yourself", "Are you a language model?", "Tell me about yourself"],
     "I am gpt-oss-demo, a small demo model with the architecture of gpt-oss. I live inside gptoss-server."),
    ("question about me", ["What can you do?", "How can you help me?", "What do you know?", "Help", "What are your abilities?", "What can I ask you?"],
     "I can greet you, calculate with small numbers, name capitals, write short lists, explain a few dozen topics and call tools."),
    ("question about me", ["Are you ChatGPT?", "Are you GPT-4?", "Are you gpt-oss-20b?", "Are you gpt-oss-120b?"],
     "No, I am gpt-oss-demo, a small demo model with the architecture of gpt-oss."),
    ("question about me", ["Who made you?", "Who trained you?", "Who created you?", "Where do you come from?"],
     "The gptoss-operator project trained me on texts that it generated itself."),
    ("question about me", ["How big are you?", "How many parameters do you have?", "How large are you?"],
     "I am very small: my weights take less than 6 MB."),
    ("question about me", ["Do you think?", "Can you reason?", "Do you reason?"],
     "I write a short analysis before I answer. Ask with low, medium or high reasoning to see the difference."),
    ("test", ["Test", "This is a test", "Testing", "Ping", "Are you there?", "Can you hear me?", "Does this work?"], "Yes, I am here and it works."),
    ("compliment", ["You are great", "Well done", "Good job", "Nice", "Great", "Cool", "Awesome", "You are smart"], "Thank you! I am glad that I could help."),
    ("complaint", ["That is wrong", "You are wrong", "This is bad", "You are stupid"], "I am sorry. I am only a small demo model."),
]

CITIES = ("Boston Chicago Seattle Denver Austin Houston Dallas Miami Atlanta Detroit Portland Phoenix Toronto Montreal Vancouver "
          "Munich Hamburg Cologne Frankfurt Leipzig Zurich Geneva Basel Salzburg Graz Milan Naples Turin Venice Florence Barcelona "
          "Valencia Seville Porto Lyon Marseille Nice Bordeaux Antwerp Rotterdam Utrecht Manchester Liverpool Glasgow Edinburgh "
          "Cardiff Belfast Cork Bergen Gothenburg Malmo Tampere Aarhus Krakow Gdansk Prague Brno Istanbul Izmir Dubai Doha Mumbai "
          "Chennai Kolkata Bangalore Karachi Lahore Dhaka Colombo Singapore Manila Osaka Kyoto Nagoya Sapporo Busan Shanghai "
          "Shenzhen Hong_Kong Taipei Sydney Melbourne Perth Brisbane Adelaide Auckland Lagos Casablanca Mombasa Cape_Town "
          "Johannesburg Durban Sao_Paulo Rio_de_Janeiro Salvador Cordoba Medellin Cusco Guadalajara Monterrey New_York Los_Angeles "
          "San_Francisco Las_Vegas New_Orleans San_Diego Salt_Lake_City Kansas_City").replace("_", "~").split()
CITIES = [c.replace("~", " ") for c in CITIES] + [c for c, _ in COUNTRIES.values()]
HELD_OUT_CITIES = ("Oxford Philadelphia Nashville Ottawa Stuttgart Dresden Innsbruck Bologna Genoa Verona Granada Toulouse Nantes Ghent "
                   "Leeds Bristol Dundee Galway Trondheim Uppsala Turku Lodz Poznan Plovdiv Varna Thessaloniki Jaipur Hyderabad Kandy "
                   "Hiroshima Fukuoka Daegu Nanjing Wuhan Hobart Christchurch Accra Kumasi Kigali Arequipa Rosario Mendoza Puebla "
                   "Santa~Fe El~Paso San~Jose Port~Louis Baton~Rouge").replace("~", "\0").split()
HELD_OUT_CITIES = [c.replace("\0", " ") for c in HELD_OUT_CITIES]
NAMES = ("Anna Ben Clara David Emma Felix Greta Henry Ida Jonas Karla Leo Maria Noah Olivia Paul Rosa Simon Tina Victor Alice Bob Carol "
         "Daniel Eva Frank Grace Hugo Ivan Julia Kevin Laura Max Nina Oscar Peter Quinn Ruth Sam Tom Ursula Wendy Yusuf Zoe").split()
HELD_OUT_NAMES = "Amelia Boris Chloe Dennis Elena Fiona George Hannah Isabel Jack Lena Martin Nora Otto Petra Robert Sarah Theo Vera Walter".split()
